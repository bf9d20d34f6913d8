// Runs a kit's model in TFLite Micro on each line of texts.txt, and prints what it needs and what it answers.
#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include "eelbert_classifier.h"
#include "eelbert_self_test.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
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

// Ticks of each operator, in the order they run. The clock is read more often than its counter runs over.
struct Profile {
    static constexpr int kMost = 1024;
    const char *names[kMost];
    std::uint32_t ticks[kMost], last;
    std::uint64_t total;
    int count;

    std::uint32_t advance()
    {
        const std::uint32_t at = now(), passed = (at - last) % kTicks;
        last = at;
        total += passed;
        return passed;
    }
    void begin()
    {
        count = 0;
        total = 0;
        last = now();
    }
};
Profile profile;

void hear(const char *name, int begins)
{
    const std::uint32_t passed = profile.advance();
    if (begins) {
        profile.names[profile.count] = name;
    } else {
        profile.ticks[profile.count++] = passed;
    }
}

tflite::MicroInterpreter *make(tflite::MicroOpResolver &resolver, std::size_t size)
{
    const void *model = eelbert_model + (EELBERT_GRAPHS - 1) * EELBERT_ROOT_BYTES; // the longest
    auto *made = new (memory) tflite::MicroInterpreter(tflite::GetModel(model), resolver, arena, size);
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

// One text from its bytes to its class or embedding, by the kit's functions. Returns the class.
int run(const char *text, std::size_t length)
{
#if EELBERT_CLASSES
    return eelbert_classify(text, length, nullptr);
#else
    static float embedding[EELBERT_WIDTH];
    return eelbert_embed(text, length, embedding);
#endif
}

int main()
{
    static tflite::MicroMutableOpResolver<EELBERT_OPERATORS> resolver;
    static char line[4096];
    static EELBERT_ARENA(kit_arena);
    std::FILE *texts = std::fopen("texts.txt", "r");

#include "eelbert_model_ops.inc"
    eelbert_set_profiler(hear);
    if (!texts || eelbert_init(kit_arena, sizeof kit_arena) != 0)
        return 1;
    std::printf("differ %d\n", eelbert_self_test());
    start_clock();
    measure_arena(resolver);
    while (std::fgets(line, sizeof line, texts)) {
        const std::size_t length = std::strcspn(line, "\n");
        std::uint64_t first;

        // A kit with several graphs may have to make another one ready, and then not once more.
        profile.begin();
        run(line, length);
        profile.advance();
        first = profile.total;
        profile.begin();
        const int found = run(line, length);
        profile.advance();
        std::printf("text %lu %lu %d\n", static_cast<unsigned long>(profile.total),
                    static_cast<unsigned long>(first > profile.total ? first - profile.total : 0), found);
    }
    for (int i = 0; i < profile.count; i++)
        std::printf("operator %s %lu\n", profile.names[i], static_cast<unsigned long>(profile.ticks[i]));
    return 0;
}
