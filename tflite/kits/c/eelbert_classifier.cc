// The functions of eelbert_classifier.h on TFLite Micro's public interface. No heap: the arena is the caller's, all
// else is static.
// SPDX-License-Identifier: Apache-2.0
#include "eelbert_classifier.h"

#include <cmath>
#include <cstdint>
#include <new>

#include "eelbert_arena.h"
#include "eelbert_input.h"
#include "eelbert_windows.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

using Resolver = tflite::MicroMutableOpResolver<EELBERT_OPERATORS>;

constexpr std::size_t kLeastArena = 1024; // TFLite Micro does not look whether its first objects fit

eelbert_profiler profiler_hook = nullptr;

class Profiler : public tflite::MicroProfilerInterface {
  public:
    std::uint32_t BeginEvent(const char *name) override
    {
        name_ = name;
        tell(1);
        return 0;
    }

    void EndEvent(std::uint32_t) override { tell(0); }

    void operator delete(void *) {}

  private:
    void tell(int begins)
    {
        if (profiler_hook)
            profiler_hook(name_, begins);
    }

    const char *name_ = nullptr; // operators do not nest
};

// TFLite Micro's interpreter, and what it is made of.
struct Runner {
    Runner(const tflite::Model *model, std::uint8_t *memory, std::size_t size)
        : arena(memory, size), interpreter(model, resolver, tflite::MicroAllocator::Create(&arena, &planner), nullptr,
                                           profiler_hook ? &profiler : nullptr)
    {
#include "eelbert_model_ops.inc"
    }

    Resolver resolver;
    Profiler profiler;
    tflite::GreedyMemoryPlanner planner;
    Arena arena;
    tflite::MicroInterpreter interpreter;
};

// Room for what eelbert_init makes, so that nothing runs before main, and nothing is on a heap.
alignas(Runner) unsigned char runner_memory[sizeof(Runner)];
Runner *runner = nullptr;
tflite::MicroInterpreter *interpreter = nullptr; // once it is ready
std::uint8_t *memory = nullptr;                  // the caller's, with the graph of this number in it
std::size_t memory_size = 0;
int graph = 0;
std::size_t arena_missing = 0;

#if EELBERT_SPAN_NAMES
constexpr int kTags = 2 * EELBERT_SPAN_NAMES + 1, kClassesOutput = 2;
alignas(float) unsigned char work[EELBERT_SPANS_WORK(EELBERT_MAX_TOKENS, EELBERT_SPAN_NAMES)];
#else
constexpr int kClassesOutput = 0;
#endif

// Whether a tensor has a type, and a number of elements of four bytes.
bool is(const TfLiteTensor *tensor, TfLiteType type, std::size_t count)
{
    return tensor && tensor->type == type && tensor->bytes == count * 4;
}

// Whether the interpreter's tensors are what eelbert_model.h says. The file's are: others are read with another layout.
bool has_expected_tensors(tflite::MicroInterpreter &found)
{
#if EELBERT_FRONT_END
    for (int i = 0; i < EELBERT_INPUTS; i++)
        if (!found.input(i) || found.input(i)->bytes != eelbert_model_slots[graph] * eelbert_input_bytes(i))
            return false;
#else
    if (!is(found.input(0), kTfLiteInt32, EELBERT_MAX_BYTES))
        return false;
#endif
#if EELBERT_SPAN_NAMES
    if (!is(found.output(0), kTfLiteFloat32, EELBERT_MAX_TOKENS * kTags) ||
        !is(found.output(1), kTfLiteInt32, EELBERT_MAX_TOKENS * 2))
        return false;
#endif
    if (EELBERT_CLASSES && !is(found.output(kClassesOutput), kTfLiteFloat32, EELBERT_OUTPUTS))
        return false;
    return !EELBERT_WIDTH || is(found.output(0), kTfLiteFloat32, EELBERT_WIDTH);
}

bool has_operators(const tflite::Model *model, const Resolver &resolver)
{
    for (const tflite::OperatorCode *code : *model->operator_codes())
        if (!resolver.FindOp(code->builtin_code()))
            return false;
    return true;
}

const tflite::Model *model_of(int number)
{
    return tflite::GetModel(eelbert_model + number * EELBERT_ROOT_BYTES);
}

// Makes the interpreter of a graph ready. Returns 0, or an error.
int start(int number)
{
    const tflite::Model *model = model_of(number);
    graph = number;
    runner = new (runner_memory) Runner(model, memory, memory_size);
    if (!has_operators(model, runner->resolver))
        return EELBERT_NO_OPERATOR;
    const TfLiteStatus status = runner->interpreter.AllocateTensors();
    arena_missing = runner->arena.missing();
    if (status != kTfLiteOk)
        return arena_missing ? EELBERT_NO_MEMORY : EELBERT_FAILED;
    if (!has_expected_tensors(runner->interpreter))
        return EELBERT_BAD_BUILD;
    interpreter = &runner->interpreter;
    return 0;
}

#if EELBERT_FRONT_END
// Fills the inputs of the shortest graph that holds the text's tokens, which is made ready where another one is.
int fill(const void *text, size_t length)
{
    const size_t tokens = eelbert_input_tokens(text, length);
    void *inputs[EELBERT_INPUTS];
    int number = 0;

    while (eelbert_model_slots[number] < tokens)
        number++;
    if (number != graph) {
        eelbert_deinit();
        const int error = start(number);
        if (error)
            return error;
    }
    for (int i = 0; i < EELBERT_INPUTS; i++)
        inputs[i] = interpreter->input(i)->data.data;
    eelbert_input_fill(text, length, eelbert_model_slots[number], inputs);
    return 0;
}
#else
int fill(const void *text, size_t length)
{
    const unsigned char *bytes = static_cast<const unsigned char *>(text);
    std::int32_t *input = interpreter->input(0)->data.i32;
    for (size_t i = 0; i < EELBERT_MAX_BYTES; i++)
        input[i] = i < length ? bytes[i] : 0;
    return 0;
}
#endif

// Runs the model on a text.
int run(const void *text, size_t length)
{
    if (!interpreter)
        return EELBERT_NOT_READY;
    const int error = fill(text, length);
    if (error)
        return error;
    if (interpreter->Invoke() != kTfLiteOk)
        return EELBERT_FAILED;
#if EELBERT_FRONT_END && EELBERT_CLASSES
    eelbert_input_add_words(text, length, interpreter->output(kClassesOutput)->data.f);
#endif
    return 0;
}

#if EELBERT_CLASSES
// Of one class a text, or of a binary task, which is one of two classes with the logits 0 and z.
void softmax(const float *logits, float *scores)
{
    float largest, sum = 0.0f;

    for (int i = 0; i < EELBERT_CLASSES; i++)
        scores[i] = EELBERT_BINARY ? i * logits[0] : logits[i];
    largest = scores[0];
    for (int i = 1; i < EELBERT_CLASSES; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    for (int i = 0; i < EELBERT_CLASSES; i++)
        sum += scores[i] = std::exp(scores[i] - largest);
    for (int i = 0; i < EELBERT_CLASSES; i++)
        scores[i] /= sum;
}

#if EELBERT_MAX_WINDOWS > 1
// Runs the model on each window of a text: their mean, weighted by their tokens.
int mean(const void *text, size_t length, float *logits)
{
    const unsigned char *bytes = static_cast<const unsigned char *>(text);
    eelbert_windows windows;
    eelbert_window window;
    size_t count = 0, tokens = 0;

    eelbert_windows_begin(&windows, EELBERT_MAX_TOKENS, EELBERT_MAX_BYTES, EELBERT_WINDOW_OVERLAP,
                          EELBERT_NORMALIZATION, text, length);
    while (count < EELBERT_MAX_WINDOWS) {
        if (!eelbert_windows_next(&windows, &window)) {
            if (count)
                break;
            window = eelbert_window{0, 0, 1}; // of a text without tokens
        }
        const int failed = run(bytes + window.start, window.end - window.start);
        if (failed)
            return failed;
        tokens += window.tokens;
        const float share = static_cast<float>(window.tokens) / static_cast<float>(tokens);
        const float *found = interpreter->output(kClassesOutput)->data.f;
        for (int i = 0; i < EELBERT_OUTPUTS; i++)
            logits[i] = count ? logits[i] + share * (found[i] - logits[i]) : found[i];
        count++;
    }
    return 0;
}
#endif

// Fills the scores of the classes, where not null, and returns the number of the one that is given.
int classes(const float *logits, float *scores)
{
    float own[EELBERT_CLASSES];
    int best = EELBERT_NONE;

    if (!scores)
        scores = own;
    if (EELBERT_REGRESSION || EELBERT_MULTILABEL) {
        for (int i = 0; i < EELBERT_OUTPUTS; i++)
            scores[i] = EELBERT_REGRESSION ? logits[i] : 1.0f / (1.0f + std::exp(-logits[i]));
    } else {
        softmax(logits, scores);
    }
    if (EELBERT_REGRESSION)
        return 0;
    for (int i = 0; i < EELBERT_CLASSES; i++)
        if (eelbert_has(scores, i) && (best < 0 || scores[i] > scores[best]))
            best = i;
    return best < 0 || eelbert_model_labels[best] ? best : EELBERT_NONE;
}
#endif

} // namespace

extern "C" int eelbert_init(void *arena, size_t size)
{
    if (interpreter)
        return 0;
    arena_missing = 0;
    if (model_of(EELBERT_GRAPHS - 1)->version() != TFLITE_SCHEMA_VERSION)
        return EELBERT_BAD_SCHEMA;
    if (reinterpret_cast<std::uintptr_t>(arena) % EELBERT_ALIGNMENT)
        return EELBERT_NOT_ALIGNED;
    if (!arena || size < kLeastArena) {
        arena_missing = EELBERT_ARENA_BYTES - (arena ? size : 0);
        return EELBERT_NO_MEMORY;
    }
    memory = static_cast<std::uint8_t *>(arena);
    memory_size = size;
    return start(EELBERT_GRAPHS - 1); // the longest needs most
}

extern "C" void eelbert_deinit(void)
{
    if (interpreter) // one that is half made must not be taken apart
        runner->~Runner();
    interpreter = nullptr;
}

extern "C" size_t eelbert_arena_used(void)
{
    return interpreter ? interpreter->arena_used_bytes() : 0;
}

extern "C" size_t eelbert_arena_missing(void)
{
    return arena_missing;
}

extern "C" void eelbert_set_profiler(eelbert_profiler profiler)
{
    profiler_hook = profiler;
}

#if EELBERT_CLASSES
extern "C" int eelbert_classify(const void *text, size_t length, float *scores)
{
#if EELBERT_MAX_WINDOWS > 1
    float logits[EELBERT_OUTPUTS];
    const int failed = mean(text, length, logits);
    return failed ? failed : classes(logits, scores);
#else
    const int failed = run(text, length);
    return failed ? failed : classes(interpreter->output(kClassesOutput)->data.f, scores);
#endif
}

extern "C" int eelbert_has(const float *scores, int number)
{
    if (EELBERT_MULTILABEL)
        return scores[number] >= eelbert_model_thresholds[number];
    if (EELBERT_BINARY)
        return number == (scores[1] >= eelbert_model_thresholds[0]);
    for (int i = 0; i < EELBERT_CLASSES; i++)
        if (scores[i] > scores[number] || (scores[i] == scores[number] && i < number))
            return 0;
    return 1;
}

extern "C" const char *const *eelbert_labels(void)
{
    return eelbert_model_labels;
}
#endif

#if EELBERT_WIDTH
extern "C" int eelbert_embed(const void *text, size_t length, float *embedding)
{
    const int failed = run(text, length);
    if (!failed)
        for (int i = 0; i < EELBERT_WIDTH; i++)
            embedding[i] = interpreter->output(0)->data.f[i];
    return failed;
}
#endif

#if EELBERT_SPAN_NAMES
extern "C" int eelbert_tag(const void *text, size_t length, eelbert_span *spans, float *scores)
{
    const int failed = run(text, length);
    if (failed)
        return failed;
#if EELBERT_CLASSES
    classes(interpreter->output(kClassesOutput)->data.f, scores);
#else
    (void)scores;
#endif
    const std::int32_t *positions = interpreter->output(1)->data.i32;
    const size_t read = length < EELBERT_MAX_BYTES ? length : EELBERT_MAX_BYTES;
    return eelbert_decode_spans(interpreter->output(0)->data.f, positions, EELBERT_MAX_TOKENS, EELBERT_SPAN_NAMES, text,
                                read, work, spans);
}

extern "C" const char *const *eelbert_span_names(void)
{
    return eelbert_model_span_names;
}
#endif
