import Datapath
import LinuxIO
import Wire

/// What comes in by the link that clients' ESP comes in by, and is none (threats.md C14): packets to and from inner addresses in the clear. The
/// daemon sees only what the kernel routes into its devices and not by which link it came; keeping strangers off is the packet filter's work, so a
/// machine that has none is warned of.
enum OuterLinks {
    /// What is open, with the command that closes it.
    static func open(_ plan: Plan) -> [String] {
        guard let filters = try? Netfilter.inUse(), !filters.filtersForwarded, let devices = try? devices(plan) else { return [] }
        var found: [String] = []
        for device in devices {
            for prefix in prefixes(plan) where (try? Forwarding.isOn(prefix.address.family)) == true {
                let family = prefix.address.family == .ipv4 ? "ip" : "ip6"
                found.append(
                    "whoever sends to \(prefix) by \(device) reaches the clients: no packet filter looks at what is forwarded; close it with: "
                        + "nft add table inet ipsec_gw; nft 'add chain inet ipsec_gw forward { type filter hook forward priority 0; }'; "
                        + "nft 'add rule inet ipsec_gw forward iifname \(device) \(family) daddr \(prefix) ct state != { established, related } drop'"
                )
                if prefix.address.family == .ipv4, (try? ReversePathFilter.isStrict(on: device)) == false {
                    found.append(
                        "whoever sends from \(prefix) by \(device) is taken for a client: rp_filter is not strict; close it with: "
                            + ReversePathFilter.command(on: device))
                }
            }
        }
        return found
    }

    /// Devices that carry a gateway's address.
    private static func devices(_ plan: Plan) throws(SystemError) -> [String] {
        var netlink = try Netlink()
        let numbers = Set(try netlink.addresses().filter { plan.gateways[$0.address] != nil }.map(\.interface))
        return try netlink.links().filter { numbers.contains($0.index) && !$0.isLoopback }.map(\.name).sorted()
    }

    /// Inner prefixes that this namespace routes. A device in another namespace is out of reach of ours.
    private static func prefixes(_ plan: Plan) -> [IPPrefix] {
        let all = plan.datapath.interfaces.filter { $0.networkNamespace == nil }.flatMap(\.addresses)
            .compactMap { IPPrefix($0.address, length: $0.prefixLength) }
        return Set(all).sorted { $0.address < $1.address }
    }

    /// Whether clients' packets may leave under this machine's address.
    static var masquerade: Bool { (try? Netfilter.inUse())?.translatesSources ?? false }
}
