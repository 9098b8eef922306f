import Datapath
import LinuxIO
import Wire

/// Whether something leads the answers of the LAN back to the pool: a masquerade in nftables or iptables. Routes of other hosts cannot be seen
/// from here, so this is advice and no error.
enum Masquerade {
    /// Private prefixes without one, with the command that adds it.
    static func missing(_ plan: Plan) -> [(prefix: IPPrefix, command: String)] {
        guard !isLoaded else { return [] }
        let prefixes = plan.datapath.interfaces.filter { $0.networkNamespace == nil }
            .flatMap(\.addresses).filter { $0.address.family == .ipv4 }
            .compactMap { IPPrefix($0.address, length: $0.prefixLength) }
        return Set(prefixes).sorted { $0.address < $1.address }.map {
            (
                $0,
                "nft add table ip nat; nft 'add chain ip nat post { type nat hook postrouting priority 100; }'; nft add rule ip nat post ip saddr \($0) masquerade"
            )
        }
    }

    /// The kernel loads these modules with the first rule that masquerades, and keeps a nat hook in /proc as long as one is there.
    private static var isLoaded: Bool {
        guard let modules = try? SmallFile.text("/proc/modules", limit: 1 << 18) else { return false }
        return ["nft_masq", "xt_MASQUERADE", "ipt_MASQUERADE"].contains { modules.contains($0) }
    }
}
