// Declarations for a syntax check only: the part of TFLite Micro's interface that the firmware kit names.
#pragma once

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TFLMRegistration;

namespace tflite {
class MicroOpResolver {};
class MicroResourceVariables;
class MicroInterpreter {
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator,
                     MicroResourceVariables *variables = nullptr, MicroProfilerInterface *profiler = nullptr);
    ~MicroInterpreter();
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(std::size_t index);
    TfLiteTensor *output(std::size_t index);
    std::size_t arena_used_bytes() const;
};
} // namespace tflite
