import Glibc
import LinuxIO

extension PacketPort where Self: ~Copyable {
    /// Sends a batch although the kernel may have no room for a moment; what it still has none for after a while, or refuses, is lost.
    @discardableResult
    mutating func sendAll(_ batch: borrowing Batch) -> Int {
        var sent = 0
        for _ in 0..<200 {
            guard let reached = try? send(batch, from: sent) else { return sent }
            sent = reached
            if sent >= batch.count { return sent }
            usleep(50)
        }
        return sent
    }
}
