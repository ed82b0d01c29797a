# The image of confstreamd, with the command confstream in it.
#   docker build -t confstream .
# builds from source. With --build-arg PREBUILT=yes it takes what ./dev build made in this checkout, on Debian 12.

FROM debian:bookworm-slim AS build
ARG PREBUILT=no
COPY tools/debian-packages /tmp/
RUN [ "$PREBUILT" = yes ] || { apt-get update -q \
 && apt-get install -qy --no-install-recommends $(awk '$1 == "build" { print $2 }' /tmp/debian-packages); }
WORKDIR /confstream
COPY . .
RUN [ "$PREBUILT" = yes ] || { rm -rf build && cmake --preset release -DBUILD_TESTING=OFF \
 && cmake --build --preset release --target confstreamd confstream confstream_protoset; }

FROM debian:bookworm-slim
COPY tools/debian-packages /tmp/
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends $(awk '$1 == "runtime" { print $2 }' /tmp/debian-packages) \
 && rm -rf /var/lib/apt/lists/* /tmp/debian-packages
COPY --from=build /confstream/build/bin/confstreamd /confstream/build/bin/confstream /usr/local/bin/
COPY --from=build /confstream/build/confstream.protoset /usr/local/share/confstream/
USER 65532:65532
EXPOSE 50051
HEALTHCHECK --interval=2s --timeout=2s --start-period=10s --retries=3 CMD ["confstream", "status", "--health"]
ENTRYPOINT ["confstreamd"]
