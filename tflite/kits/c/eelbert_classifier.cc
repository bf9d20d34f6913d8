// The functions of eelbert_classifier.h on TFLite Micro's public interface. No heap: interpreter and arena are static.
#include "eelbert_classifier.h"

#include <cmath>
#include <cstdint>
#include <new>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

using Resolver = tflite::MicroMutableOpResolver<EELBERT_OPERATORS>;

alignas(16) std::uint8_t arena[EELBERT_ARENA_BYTES];
// Room for objects that eelbert_init makes, so that nothing runs before main.
alignas(Resolver) unsigned char resolver_memory[sizeof(Resolver)];
alignas(tflite::MicroInterpreter) unsigned char interpreter_memory[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter *interpreter = nullptr;
bool ready = false;

void softmax(float *scores)
{
    float largest = scores[0], sum = 0.0f;

    for (int i = 1; i < EELBERT_CLASSES; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    for (int i = 0; i < EELBERT_CLASSES; i++)
        sum += scores[i] = std::exp(scores[i] - largest);
    for (int i = 0; i < EELBERT_CLASSES; i++)
        scores[i] /= sum;
}

} // namespace

extern "C" int eelbert_init(void)
{
    if (ready)
        return 0;
    const tflite::Model *model = tflite::GetModel(eelbert_model);
    if (model->version() != TFLITE_SCHEMA_VERSION)
        return EELBERT_BAD_SCHEMA;
    if (!interpreter) {
        Resolver &resolver = *new (resolver_memory) Resolver();
#include "eelbert_model_ops.inc"
        interpreter = new (interpreter_memory) tflite::MicroInterpreter(model, resolver, arena, sizeof(arena));
    }
    if (interpreter->AllocateTensors() != kTfLiteOk)
        return EELBERT_NO_MEMORY;
    const TfLiteTensor *input = interpreter->input(0), *output = interpreter->output(0);
    if (!input || input->type != kTfLiteInt32 || input->bytes != EELBERT_MAX_BYTES * sizeof(std::int32_t))
        return EELBERT_BAD_MODEL;
    if (!output || output->type != kTfLiteFloat32 || output->bytes != EELBERT_CLASSES * sizeof(float))
        return EELBERT_BAD_MODEL;
    ready = true;
    return 0;
}

extern "C" int eelbert_classify(const void *text, size_t length, float *scores)
{
    if (!ready)
        return EELBERT_NOT_READY;
    const unsigned char *bytes = static_cast<const unsigned char *>(text);
    std::int32_t *input = interpreter->input(0)->data.i32;
    for (size_t i = 0; i < EELBERT_MAX_BYTES; i++)
        input[i] = i < length ? bytes[i] : 0;
    if (interpreter->Invoke() != kTfLiteOk)
        return EELBERT_FAILED;
    const float *logits = interpreter->output(0)->data.f;
    int best = 0;
    for (int i = 0; i < EELBERT_CLASSES; i++) {
        best = logits[i] > logits[best] ? i : best;
        if (scores)
            scores[i] = logits[i];
    }
    if (scores && !EELBERT_REGRESSION)
        softmax(scores);
    return best;
}

extern "C" const char *const *eelbert_labels(void)
{
    return eelbert_model_labels;
}
