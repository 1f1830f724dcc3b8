// A Triton back end that runs ONNX files with ONNX Runtime, as small as it can be: the benchmark's wheel of Triton
// carries no such back end. One session per instance, one call per batch, one thread, tensors of fixed-size elements.
//
// Both interfaces are C and stable: Triton's TRITONBACKEND_* functions are declared here as tritonbackend.h has them
// (version 1.x); ONNX Runtime's are slots of a table that only ever grows at its end, numbered as in
// onnxruntime_c_api.h.

#include <dlfcn.h>
#include <time.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

extern "C" {

struct TRITONSERVER_Error;
struct TRITONBACKEND_Model;
struct TRITONBACKEND_ModelInstance;
struct TRITONBACKEND_Request;
struct TRITONBACKEND_Response;
struct TRITONBACKEND_Input;
struct TRITONBACKEND_Output;
using Failure = TRITONSERVER_Error*;

Failure TRITONSERVER_ErrorNew(int code, const char* message);
Failure TRITONBACKEND_ModelRepository(TRITONBACKEND_Model*, int* artifact, const char** location);
Failure TRITONBACKEND_ModelVersion(TRITONBACKEND_Model*, uint64_t* version);
Failure TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance*, TRITONBACKEND_Model**);
Failure TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance*, void**);
Failure TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance*, void*);
Failure TRITONBACKEND_ModelInstanceReportStatistics(
    TRITONBACKEND_ModelInstance*, TRITONBACKEND_Request*, bool success, uint64_t start_ns, uint64_t compute_start_ns,
    uint64_t compute_end_ns, uint64_t end_ns);
Failure TRITONBACKEND_ModelInstanceReportBatchStatistics(
    TRITONBACKEND_ModelInstance*, uint64_t rows, uint64_t start_ns, uint64_t compute_start_ns, uint64_t compute_end_ns,
    uint64_t end_ns);
Failure TRITONBACKEND_RequestInput(TRITONBACKEND_Request*, const char* name, TRITONBACKEND_Input**);
Failure TRITONBACKEND_InputProperties(
    TRITONBACKEND_Input*, const char** name, int* datatype, const int64_t** shape, uint32_t* dims, uint64_t* bytes,
    uint32_t* buffers);
Failure TRITONBACKEND_InputBuffer(
    TRITONBACKEND_Input*, uint32_t index, const void** buffer, uint64_t* bytes, int* memory_type, int64_t* memory_id);
Failure TRITONBACKEND_RequestOutputCount(TRITONBACKEND_Request*, uint32_t* count);
Failure TRITONBACKEND_RequestOutputName(TRITONBACKEND_Request*, uint32_t index, const char** name);
Failure TRITONBACKEND_RequestRelease(TRITONBACKEND_Request*, uint32_t flags);
Failure TRITONBACKEND_ResponseNew(TRITONBACKEND_Response**, TRITONBACKEND_Request*);
Failure TRITONBACKEND_ResponseOutput(
    TRITONBACKEND_Response*, TRITONBACKEND_Output**, const char* name, int datatype, const int64_t* shape,
    uint32_t dims);
Failure TRITONBACKEND_OutputBuffer(
    TRITONBACKEND_Output*, void** buffer, uint64_t bytes, int* memory_type, int64_t* memory_id);
Failure TRITONBACKEND_ResponseSend(TRITONBACKEND_Response*, uint32_t flags, Failure);
}

namespace {

constexpr int kInternal = 1;     // TRITONSERVER_ERROR_INTERNAL
constexpr uint32_t kFinal = 1;   // TRITONSERVER_RESPONSE_COMPLETE_FINAL
constexpr uint32_t kRelease = 1; // TRITONSERVER_REQUEST_RELEASE_ALL
constexpr uint32_t kApiVersion = 11;

struct Type {
  int triton, onnx;
  size_t bytes;
};
constexpr Type kTypes[] = {{9, 7, 8}, {11, 1, 4}};  // INT64, FP32

// Slots of OrtApi.
enum Slot {
  kGetErrorMessage = 2, kCreateEnv = 3, kCreateSession = 7, kRun = 9, kCreateSessionOptions = 10,
  kSetIntraOpNumThreads = 24, kSetInterOpNumThreads = 25, kSessionGetInputCount = 30, kSessionGetOutputCount = 31,
  kSessionGetInputName = 36, kSessionGetOutputName = 37, kCreateTensorWithDataAsOrtValue = 49,
  kGetTensorMutableData = 51, kGetTensorElementType = 60, kGetDimensionsCount = 61, kGetDimensions = 62,
  kGetTensorTypeAndShape = 65, kCreateCpuMemoryInfo = 69, kGetAllocatorWithDefaultOptions = 78, kReleaseStatus = 93,
  kReleaseSession = 95, kReleaseValue = 96, kReleaseTensorTypeAndShapeInfo = 99, kReleaseSessionOptions = 100,
};

struct Base {
  void** (*get_api)(uint32_t version);
};

void** g_api;        // ONNX Runtime's function table: the library is process-wide by its own nature
void* g_environment;
void* g_memory;
void* g_allocator;

struct Fault {
  std::string message;
};

template <typename... Arguments>
void Ort(Slot slot, Arguments... arguments) {
  void* status = reinterpret_cast<void* (*)(Arguments...)>(g_api[slot])(arguments...);
  if (status == nullptr) return;
  Fault fault{reinterpret_cast<const char* (*)(void*)>(g_api[kGetErrorMessage])(status)};
  reinterpret_cast<void (*)(void*)>(g_api[kReleaseStatus])(status);
  throw fault;
}

void OrtRelease(Slot slot, void* object) { reinterpret_cast<void (*)(void*)>(g_api[slot])(object); }

void Check(Failure failure) {
  if (failure != nullptr) throw Fault{"Triton refused a call"};
}

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

const Type& TypeOf(int value, int Type::*field) {
  for (const Type& type : kTypes)
    if (type.*field == value) return type;
  throw Fault{"element type " + std::to_string(value) + " is not one of this back end's"};
}

std::once_flag g_loading;  // Triton loads models on several threads

void LoadRuntime() {
  void* library = dlopen(HEKLA_ONNXRUNTIME, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Fault{dlerror()};
  auto base = reinterpret_cast<const Base* (*)()>(dlsym(library, "OrtGetApiBase"))();
  g_api = base->get_api(kApiVersion);
  if (g_api == nullptr) throw Fault{"ONNX Runtime is older than the interface asked for"};
  Ort(kCreateEnv, 3, "triton", &g_environment);  // 3: errors only
  Ort(kCreateCpuMemoryInfo, 1, 0, &g_memory);    // an arena allocator, default memory
  Ort(kGetAllocatorWithDefaultOptions, &g_allocator);
}

struct Instance {
  void* session = nullptr;
  std::vector<const char*> inputs, outputs;
  std::vector<std::vector<char>> joined;  // one buffer per input, kept from batch to batch

  explicit Instance(const std::string& path) {
    void* options;
    Ort(kCreateSessionOptions, &options);
    Ort(kSetIntraOpNumThreads, options, 1);
    Ort(kSetInterOpNumThreads, options, 1);
    Ort(kCreateSession, g_environment, path.c_str(), options, &session);
    OrtRelease(kReleaseSessionOptions, options);
    inputs = Names(kSessionGetInputCount, kSessionGetInputName);
    outputs = Names(kSessionGetOutputCount, kSessionGetOutputName);
    joined.resize(inputs.size());
  }

  ~Instance() { OrtRelease(kReleaseSession, session); }

  std::vector<const char*> Names(Slot count_slot, Slot name_slot) {
    size_t count;
    Ort(count_slot, session, &count);
    std::vector<const char*> names(count);
    for (size_t i = 0; i < count; ++i) {
      char* name;
      Ort(name_slot, session, i, g_allocator, &name);
      names[i] = name;  // lives as long as the process
    }
    return names;
  }
};

struct Values {  // OrtValues, released together
  std::vector<void*> all;
  explicit Values(size_t count) : all(count, nullptr) {}
  ~Values() {
    for (void* value : all)
      if (value != nullptr) OrtRelease(kReleaseValue, value);
  }
};

// Make one tensor of the input that all requests carry; `rows` becomes the rows of each.
void* JoinInput(
    Instance& instance, size_t index, TRITONBACKEND_Request** requests, uint32_t count, std::vector<int64_t>& rows) {
  std::vector<int64_t> shape;
  std::vector<char>& joined = instance.joined[index];
  joined.clear();
  const void* only = nullptr;
  size_t bytes = 0;
  int datatype = 0;
  for (uint32_t r = 0; r < count; ++r) {
    TRITONBACKEND_Input* input;
    const int64_t* extents;
    uint32_t dims, buffers;
    Check(TRITONBACKEND_RequestInput(requests[r], instance.inputs[index], &input));
    Check(TRITONBACKEND_InputProperties(input, nullptr, &datatype, &extents, &dims, nullptr, &buffers));
    if (shape.empty()) shape.assign(extents, extents + dims), shape[0] = 0;
    rows[r] = extents[0];
    shape[0] += extents[0];
    for (uint32_t b = 0; b < buffers; ++b) {
      const void* data;
      uint64_t size;
      int memory_type = 0;
      int64_t memory_id = 0;
      Check(TRITONBACKEND_InputBuffer(input, b, &data, &size, &memory_type, &memory_id));
      bytes += size;
      if (count == 1 && buffers == 1) {
        only = data;
      } else {
        joined.insert(joined.end(), static_cast<const char*>(data), static_cast<const char*>(data) + size);
      }
    }
  }
  void* value;
  void* data = only != nullptr ? const_cast<void*>(only) : joined.data();
  Ort(kCreateTensorWithDataAsOrtValue, g_memory, data, bytes, shape.data(), shape.size(),
      TypeOf(datatype, &Type::triton).onnx, &value);
  return value;
}

bool IsWanted(TRITONBACKEND_Request* request, const char* name) {
  uint32_t count;
  Check(TRITONBACKEND_RequestOutputCount(request, &count));
  for (uint32_t i = 0; i < count; ++i) {
    const char* wanted;
    Check(TRITONBACKEND_RequestOutputName(request, i, &wanted));
    if (std::strcmp(wanted, name) == 0) return true;
  }
  return count == 0;
}

// Hand each request its rows of one output.
void SplitOutput(
    const char* name, void* value, TRITONBACKEND_Request** requests, TRITONBACKEND_Response** responses,
    uint32_t count, const std::vector<int64_t>& rows) {
  void* info;
  int onnx;
  size_t dims;
  const char* data;
  Ort(kGetTensorTypeAndShape, value, &info);
  Ort(kGetTensorElementType, info, &onnx);
  Ort(kGetDimensionsCount, info, &dims);
  std::vector<int64_t> shape(dims);
  Ort(kGetDimensions, info, shape.data(), dims);
  OrtRelease(kReleaseTensorTypeAndShapeInfo, info);
  Ort(kGetTensorMutableData, value, &data);
  const Type& type = TypeOf(onnx, &Type::onnx);
  size_t row_bytes = type.bytes;
  for (size_t i = 1; i < dims; ++i) row_bytes *= static_cast<size_t>(shape[i]);
  for (uint32_t r = 0; r < count; ++r) {
    shape[0] = rows[r];
    size_t bytes = row_bytes * static_cast<size_t>(rows[r]);
    if (IsWanted(requests[r], name)) {
      TRITONBACKEND_Output* output;
      void* buffer;
      int memory_type = 0;
      int64_t memory_id = 0;
      Check(TRITONBACKEND_ResponseOutput(
          responses[r], &output, name, type.triton, shape.data(), static_cast<uint32_t>(dims)));
      Check(TRITONBACKEND_OutputBuffer(output, &buffer, bytes, &memory_type, &memory_id));
      std::memcpy(buffer, data, bytes);
    }
    data += bytes;
  }
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) Failure TRITONBACKEND_ModelInstanceInitialize(
    TRITONBACKEND_ModelInstance* instance) {
  try {
    std::call_once(g_loading, LoadRuntime);
    TRITONBACKEND_Model* model;
    int artifact;
    const char* location;
    uint64_t version;
    Check(TRITONBACKEND_ModelInstanceModel(instance, &model));
    Check(TRITONBACKEND_ModelRepository(model, &artifact, &location));
    Check(TRITONBACKEND_ModelVersion(model, &version));
    std::string path = std::string(location) + "/" + std::to_string(version) + "/model.onnx";
    Check(TRITONBACKEND_ModelInstanceSetState(instance, new Instance(path)));
    return nullptr;
  } catch (const Fault& fault) {
    return TRITONSERVER_ErrorNew(kInternal, fault.message.c_str());
  }
}

__attribute__((visibility("default"))) Failure TRITONBACKEND_ModelInstanceFinalize(
    TRITONBACKEND_ModelInstance* instance) {
  void* state;
  if (Failure failure = TRITONBACKEND_ModelInstanceState(instance, &state)) return failure;
  delete static_cast<Instance*>(state);
  return nullptr;
}

__attribute__((visibility("default"))) Failure TRITONBACKEND_ModelInstanceExecute(
    TRITONBACKEND_ModelInstance* model_instance, TRITONBACKEND_Request** requests, const uint32_t count) {
  uint64_t start = NowNs(), compute_start = start, compute_end = start;
  void* state;
  if (Failure failure = TRITONBACKEND_ModelInstanceState(model_instance, &state)) return failure;
  Instance& instance = *static_cast<Instance*>(state);
  std::vector<TRITONBACKEND_Response*> responses(count, nullptr);
  std::vector<int64_t> rows(count, 0);
  std::string problem;
  try {
    for (uint32_t r = 0; r < count; ++r) Check(TRITONBACKEND_ResponseNew(&responses[r], requests[r]));
    Values inputs(instance.inputs.size()), outputs(instance.outputs.size());
    for (size_t i = 0; i < instance.inputs.size(); ++i) inputs.all[i] = JoinInput(instance, i, requests, count, rows);
    compute_start = NowNs();
    Ort(kRun, instance.session, static_cast<void*>(nullptr), instance.inputs.data(), inputs.all.data(),
        inputs.all.size(), instance.outputs.data(), outputs.all.size(), outputs.all.data());
    compute_end = NowNs();
    for (size_t i = 0; i < instance.outputs.size(); ++i)
      SplitOutput(instance.outputs[i], outputs.all[i], requests, responses.data(), count, rows);
  } catch (const Fault& fault) {
    problem = fault.message;
  }
  int64_t batch = 0;
  for (uint32_t r = 0; r < count; ++r) {
    Failure failure = problem.empty() ? nullptr : TRITONSERVER_ErrorNew(kInternal, problem.c_str());
    if (responses[r] != nullptr) TRITONBACKEND_ResponseSend(responses[r], kFinal, failure);
    TRITONBACKEND_ModelInstanceReportStatistics(
        model_instance, requests[r], problem.empty(), start, compute_start, compute_end, NowNs());
    batch += rows[r];
    TRITONBACKEND_RequestRelease(requests[r], kRelease);
  }
  TRITONBACKEND_ModelInstanceReportBatchStatistics(
      model_instance, static_cast<uint64_t>(batch), start, compute_start, compute_end, NowNs());
  return nullptr;
}
}
