// Declarations for a syntax check only.
#pragma once

#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"

namespace tflite {
class MicroAllocator {
  public:
    static MicroAllocator *Create(SingleArenaBufferAllocator *memory, MicroMemoryPlanner *planner);
};
} // namespace tflite
