// Declarations for a syntax check only: the part of TFLite Micro's interface that the firmware kit names.
#pragma once

#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {
class MicroOpResolver {};
class MicroInterpreter {
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, std::uint8_t *arena, std::size_t size);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(std::size_t index);
    TfLiteTensor *output(std::size_t index);
};
} // namespace tflite
