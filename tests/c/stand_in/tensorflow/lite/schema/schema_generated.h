// Declarations for a syntax check only: the part of TFLite's interface that the firmware kit names, without any code.
#pragma once

#include <cstddef>
#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteFloat32 = 1, kTfLiteInt32 = 2 };
union TfLitePtrUnion {
    std::int32_t *i32;
    float *f;
    void *data;
};
struct TfLiteTensor {
    TfLiteType type;
    TfLitePtrUnion data;
    std::size_t bytes;
};

namespace tflite {
enum BuiltinOperator { BuiltinOperator_ADD = 0 };
struct OperatorCode {
    BuiltinOperator builtin_code() const;
};
struct OperatorCodes {
    const OperatorCode *const *begin() const;
    const OperatorCode *const *end() const;
};
struct Model {
    std::uint32_t version() const;
    const OperatorCodes *operator_codes() const;
};
const Model *GetModel(const void *data);
} // namespace tflite
