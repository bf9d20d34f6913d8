// Declarations for a syntax check only.
#pragma once

namespace tflite {
class MicroMemoryPlanner {};
class GreedyMemoryPlanner : public MicroMemoryPlanner {};
} // namespace tflite
