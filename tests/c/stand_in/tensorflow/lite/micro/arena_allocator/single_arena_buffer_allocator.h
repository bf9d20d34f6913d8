// Declarations for a syntax check only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite {
class SingleArenaBufferAllocator {
  public:
    SingleArenaBufferAllocator(std::uint8_t *buffer, std::size_t size);
    virtual ~SingleArenaBufferAllocator();
    virtual TfLiteStatus ResizeBuffer(std::uint8_t *buffer, std::size_t size, std::size_t alignment);
    virtual std::uint8_t *AllocatePersistentBuffer(std::size_t size, std::size_t alignment);
    virtual std::uint8_t *AllocateTemp(std::size_t size, std::size_t alignment);
    virtual std::uint8_t *GetOverlayMemoryAddress() const;
    virtual std::size_t GetAvailableMemory(std::size_t alignment) const;

  protected:
    std::uint8_t *head() const;
    std::uint8_t *tail() const;
};
} // namespace tflite
