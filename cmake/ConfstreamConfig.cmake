# find_package(Confstream CONFIG REQUIRED): the target Confstream::client, with what it is linked to.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(OpenSSL)
find_dependency(absl CONFIG)
find_dependency(Protobuf)
find_dependency(gRPC CONFIG)
include(${CMAKE_CURRENT_LIST_DIR}/ConfstreamTargets.cmake)
