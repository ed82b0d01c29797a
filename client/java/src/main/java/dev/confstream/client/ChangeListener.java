package dev.confstream.client;

/** Gets every change of a {@link Watch}. Set it with {@link WatchOptions.Builder#onChange}. */
@FunctionalInterface
public interface ChangeListener {
  /**
   * Takes a change into use. Calls come one at a time, in order, on a thread of the client; a call
   * may take its time: it misses versions then, never the newest. It may call any method of the
   * watch, {@link Watch#close} too.
   *
   * <p>When it returns, the version is reported to the server as APPLIED, and written to the copy
   * on disk if there is to be one.
   *
   * @param change what was there before, and what is there now
   * @throws Exception if the program cannot use the version. It is reported as REJECTED, with the
   *     message of the exception (at most 1024 bytes of it), and not written to disk. The watch
   *     goes on.
   */
  void onChange(Change change) throws Exception;
}
