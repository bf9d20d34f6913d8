// Declarations for a syntax check only: of TFLite Micro's operators, those that a model of this library may need.
#pragma once

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {
template <unsigned int count>
class MicroMutableOpResolver : public MicroOpResolver {
  public:
    const TFLMRegistration *FindOp(BuiltinOperator op) const;
    TfLiteStatus AddAbs();
    TfLiteStatus AddAdd();
    TfLiteStatus AddBatchMatMul();
    TfLiteStatus AddCast();
    TfLiteStatus AddConcatenation();
    TfLiteStatus AddConv2D();
    TfLiteStatus AddCumSum();
    TfLiteStatus AddDequantize();
    TfLiteStatus AddDiv();
    TfLiteStatus AddEqual();
    TfLiteStatus AddExp();
    TfLiteStatus AddFloor();
    TfLiteStatus AddFullyConnected();
    TfLiteStatus AddGather();
    TfLiteStatus AddGreater();
    TfLiteStatus AddGreaterEqual();
    TfLiteStatus AddL2Normalization();
    TfLiteStatus AddLess();
    TfLiteStatus AddLessEqual();
    TfLiteStatus AddMaximum();
    TfLiteStatus AddMean();
    TfLiteStatus AddMinimum();
    TfLiteStatus AddMul();
    TfLiteStatus AddNeg();
    TfLiteStatus AddNotEqual();
    TfLiteStatus AddPack();
    TfLiteStatus AddPad();
    TfLiteStatus AddQuantize();
    TfLiteStatus AddRelu();
    TfLiteStatus AddReshape();
    TfLiteStatus AddRsqrt();
    TfLiteStatus AddSlice();
    TfLiteStatus AddSoftmax();
    TfLiteStatus AddSplit();
    TfLiteStatus AddSqrt();
    TfLiteStatus AddStridedSlice();
    TfLiteStatus AddSub();
    TfLiteStatus AddSum();
    TfLiteStatus AddTanh();
    TfLiteStatus AddTranspose();
    TfLiteStatus AddUnpack();
};
} // namespace tflite
