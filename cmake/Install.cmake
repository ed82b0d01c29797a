# What `cmake --install` puts where, by component: `programs`, `protos` and `client`, the C++ client.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS confstreamd confstream RUNTIME COMPONENT programs)

# For protoc's --proto_path; and for grpcurl's -protoset.
set(proto_path ${CMAKE_INSTALL_DATADIR}/confstream/proto)
install(DIRECTORY proto/confstream/v1 DESTINATION ${proto_path}/confstream COMPONENT protos)
install(FILES ${PROJECT_BINARY_DIR}/confstream.protoset DESTINATION ${CMAKE_INSTALL_DATADIR}/confstream COMPONENT protos)

install(FILES client/cpp/client.h client/cpp/json.h client/cpp/yaml.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/confstream COMPONENT client)
install(TARGETS confstream_client_archive EXPORT ConfstreamTargets ARCHIVE COMPONENT client
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# find_package(Confstream)
set(config_directory ${CMAKE_INSTALL_LIBDIR}/cmake/Confstream)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/ConfstreamConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT ConfstreamTargets NAMESPACE Confstream:: DESTINATION ${config_directory} COMPONENT client)
install(FILES cmake/ConfstreamConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ConfstreamConfigVersion.cmake
  DESTINATION ${config_directory} COMPONENT client)

# pkg-config confstream-client. Like the above it may be moved after it was installed.
file(RELATIVE_PATH pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/confstream-client.pc.in confstream-client.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/confstream-client.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)
