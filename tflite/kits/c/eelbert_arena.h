// TFLite Micro's memory: the caller's bytes, and how many of them were missing where they did not suffice.
#ifndef EELBERT_ARENA_H
#define EELBERT_ARENA_H

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"

namespace {

class Arena : public tflite::SingleArenaBufferAllocator {
    using Base = tflite::SingleArenaBufferAllocator;

  public:
    Arena(std::uint8_t *memory, std::size_t size) : Base(memory, size) {}

    TfLiteStatus ResizeBuffer(std::uint8_t *buffer, std::size_t size, std::size_t alignment) override
    {
        const TfLiteStatus status = Base::ResizeBuffer(buffer, size, alignment);
        if (status != kTfLiteOk)
            lacks(size, tail() - GetOverlayMemoryAddress());
        return status;
    }

    std::uint8_t *AllocatePersistentBuffer(std::size_t size, std::size_t alignment) override
    {
        std::uint8_t *const found = Base::AllocatePersistentBuffer(size, alignment);
        if (!found)
            lacks(size, tail() - head());
        return found;
    }

    std::uint8_t *AllocateTemp(std::size_t size, std::size_t alignment) override
    {
        std::uint8_t *const found = Base::AllocateTemp(size, alignment);
        if (!found)
            lacks(size, static_cast<std::ptrdiff_t>(GetAvailableMemory(alignment)));
        return found;
    }

    // Bytes by which the largest request that failed was too large; 0 where none has failed.
    std::size_t missing() const { return missing_; }

    void operator delete(void *) {} // it is never on a heap, and a linker need not look for one

  private:
    void lacks(std::size_t size, std::ptrdiff_t available)
    {
        const std::ptrdiff_t lack = static_cast<std::ptrdiff_t>(size) - available;
        const std::size_t least = lack > 0 ? static_cast<std::size_t>(lack) : 1; // alignment takes some, too
        missing_ = least > missing_ ? least : missing_;
    }

    std::size_t missing_ = 0;
};

} // namespace

#endif
