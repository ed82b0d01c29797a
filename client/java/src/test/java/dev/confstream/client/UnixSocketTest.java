package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.MultiThreadIoEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollIoHandler;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(180)
class UnixSocketTest {
  @Test
  void sourceIsFollowedOverAUnixSocket() throws Exception {
    // Such a path has about 100 bytes at most; those of @TempDir may be longer.
    Path directory = Files.createTempDirectory(Path.of("/tmp"), "confstream");
    Path socket = directory.resolve("my server.sock");
    EventLoopGroup group = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new DomainSocketAddress(socket.toFile()))
            .channelType(EpollServerDomainSocketChannel.class)
            .bossEventLoopGroup(group)
            .workerEventLoopGroup(group);
    try (ScriptedServer server = new ScriptedServer(builder);
        ConfstreamClient client = ConfstreamClient.connect("unix:" + socket);
        Watch watch = client.watch("demo")) {
      server.nextStream().send(Messages.snapshot(1, Map.of("a", "one")));
      assertEquals(1, watch.await(Duration.ofSeconds(60)).version());
    } finally {
      group.shutdownGracefully();
      Files.deleteIfExists(socket);
      Files.delete(directory);
    }
  }
}
