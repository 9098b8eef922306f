import ArgumentParser
import Glibc
import Wire

/// A load generator aimed at a stranger, or a test client that rewrites the host's routes, is an accident that must be asked for (programs.md).
enum Safety {
    /// Why not to go on, or nil. A loopback target is harmless anywhere; any other only in a network namespace that is not the host's own.
    static func objection(
        target: IPAddress, ownNamespace: UInt64?, hostNamespace: UInt64?, confirmed: Bool
    ) -> String? {
        if confirmed || target.isLoopback { return nil }
        // Where process 1 may not be looked at (some containers), nobody can say whose namespace this is: then the answer is no.
        guard let own = ownNamespace, let host = hostNamespace else {
            return "\(target) is not loopback, and whether this network namespace is the host's own cannot be seen "
                + "(/proc/1/ns/net may not be read); if the gateway is yours, add --yes-this-is-my-gateway"
        }
        guard own == host else { return nil }
        return "\(target) is not loopback, and this is the host's own network namespace; "
            + "run it in a namespace (`ip netns exec NAME ipsec-load ...`), or add --yes-this-is-my-gateway"
    }

    static func objection(target: IPAddress, confirmed: Bool) -> String? {
        objection(
            target: target, ownNamespace: inode("/proc/self/ns/net"), hostNamespace: inode("/proc/1/ns/net"),
            confirmed: confirmed)
    }

    /// Ends the program with the reason where there is one.
    static func check(target: IPAddress, confirmed: Bool) throws {
        guard let objection = objection(target: target, confirmed: confirmed) else { return }
        report("ipsec-load: " + objection)
        throw ExitCode(1)
    }

    /// The inode of a namespace; nil when it cannot be seen.
    private static func inode(_ path: String) -> UInt64? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}
