// Runs a kit's model in TFLite Micro on each line of texts.txt, and prints what it needs and what it answers.
#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include "eelbert_classifier.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

constexpr std::size_t kArena = EELBERT_ARENA_BYTES * 2;
constexpr std::size_t kStep = 16;
alignas(16) std::uint8_t arena[kArena];
alignas(tflite::MicroInterpreter) unsigned char memory[sizeof(tflite::MicroInterpreter)];
bool quiet = false;

#ifdef __arm__
// SysTick counts down at the core's clock; with -icount shift=0 QEMU takes a nanosecond for each instruction.
constexpr std::uint32_t kTicks = 1u << 24;
volatile std::uint32_t *const systick = reinterpret_cast<volatile std::uint32_t *>(0xE000E010);

void start_clock()
{
    systick[1] = kTicks - 1;
    systick[2] = 0;
    systick[0] = 5; // on, from the core's clock, without interrupts
}

std::uint32_t now()
{
    return kTicks - 1 - systick[2];
}
#else
constexpr std::uint32_t kTicks = 1u << 24;

void start_clock() {}

std::uint32_t now()
{
    return 0;
}
#endif

// Ticks of each operator, in the order they run. It is read more often than the counter runs over.
class Profiler : public tflite::MicroProfilerInterface {
  public:
    std::uint32_t BeginEvent(const char *tag) override
    {
        names[count] = tag;
        advance();
        return 0;
    }
    void EndEvent(std::uint32_t) override
    {
        ticks[count++] = advance();
    }
    std::uint32_t advance()
    {
        const std::uint32_t at = now(), passed = (at - last) % kTicks;
        last = at;
        total += passed;
        return passed;
    }
    static constexpr int kMost = 1024;
    const char *names[kMost];
    std::uint32_t ticks[kMost], last = 0;
    std::uint64_t total = 0;
    int count = 0;
};
Profiler profiler;

tflite::MicroInterpreter *make(tflite::MicroOpResolver &resolver, std::size_t size)
{
    auto *made = new (memory) tflite::MicroInterpreter(tflite::GetModel(eelbert_model), resolver, arena, size, nullptr,
                                                       &profiler);
    profiler.count = 0;
    return made->AllocateTensors() == kTfLiteOk ? made : nullptr;
}

// The smallest arena in which the model can be set up, and what it then says is used.
void measure_arena(tflite::MicroOpResolver &resolver)
{
    std::size_t least = 1024 / kStep, most = kArena / kStep;

    quiet = true;
    while (least < most) {
        const std::size_t middle = (least + most) / 2;
        const bool fits = make(resolver, middle * kStep) != nullptr;
        most = fits ? middle : most;
        least = fits ? least : middle + 1;
    }
    quiet = false;
    tflite::MicroInterpreter *found = make(resolver, most * kStep);
    std::printf("arena %lu %lu\n", static_cast<unsigned long>(most * kStep),
                static_cast<unsigned long>(found ? found->arena_used_bytes() : 0));
}

} // namespace

extern "C" void DebugLog(const char *format, va_list args)
{
    if (!quiet)
        std::vfprintf(stderr, format, args);
}

extern "C" int DebugVsnprintf(char *buffer, std::size_t size, const char *format, va_list args)
{
    return std::vsnprintf(buffer, size, format, args);
}

int main()
{
    static tflite::MicroMutableOpResolver<EELBERT_OPERATORS> resolver;
    static char line[4096];
    static EELBERT_ARENA(kit_arena);
    std::FILE *texts = std::fopen("texts.txt", "r");

#include "eelbert_model_ops.inc"
    if (!texts || eelbert_init(kit_arena, sizeof kit_arena) != 0)
        return 1;
    start_clock();
    measure_arena(resolver);
    tflite::MicroInterpreter *interpreter = make(resolver, kArena);
    while (std::fgets(line, sizeof line, texts)) {
        const std::size_t length = std::strcspn(line, "\n");
        std::int32_t *input = interpreter->input(0)->data.i32;
        for (std::size_t i = 0; i < EELBERT_MAX_BYTES; i++)
            input[i] = i < length ? static_cast<unsigned char>(line[i]) : 0;
        profiler.count = 0;
        profiler.last = now();
        profiler.total = 0;
        if (interpreter->Invoke() != kTfLiteOk)
            return 1;
        profiler.advance();
        std::printf("text %lu", static_cast<unsigned long>(profiler.total));
#if EELBERT_CLASSES
        std::printf(" %d", eelbert_classify(line, length, nullptr));
#endif
        std::printf("\n");
    }
    for (int i = 0; i < profiler.count; i++)
        std::printf("operator %s %lu\n", profiler.names[i], static_cast<unsigned long>(profiler.ticks[i]));
    return 0;
}
