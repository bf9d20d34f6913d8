// Declarations for a syntax check only.
#pragma once

#include <cstdint>

namespace tflite {
class MicroProfilerInterface {
  public:
    virtual ~MicroProfilerInterface() {}
    virtual std::uint32_t BeginEvent(const char *tag) = 0;
    virtual void EndEvent(std::uint32_t event) = 0;
};
} // namespace tflite
