internal import CLinux
internal import Glibc
internal import Wire

/// What packet filters the calling thread's namespace has: the chains of nftables (and of iptables over it), and the tables of the older iptables.
package struct Netfilter: Sendable, Equatable {
    /// Some chain looks at packets on their way through this machine.
    package var filtersForwarded = false
    /// Some chain may give packets on their way out another source.
    package var translatesSources = false

    package init() {}

    /// Asks the kernel. A kernel without nftables has no chains.
    package static func inUse() throws(SystemError) -> Netfilter {
        var found = Netfilter()
        for name in try tables() {
            switch name {
            case "nat": found.translatesSources = true
            case "filter": found.filtersForwarded = true
            default: break
            }
        }
        for chain in try chains() {
            // NF_INET_FORWARD, NF_INET_POST_ROUTING
            if chain.type == "filter", chain.hook == 2 { found.filtersForwarded = true }
            if chain.type == "nat", chain.hook == 4 { found.translatesSources = true }
        }
        return found
    }

    /// Tables of iptables as it was before nftables; each was loaded by its first use.
    private static func tables() throws(SystemError) -> [String] {
        var names: [String] = []
        for path in ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"] where unsafe access(path, F_OK) == 0 {
            names += try SmallFile.text(path).split(separator: "\n").map(String.init)
        }
        return names
    }

    /// The base chains of nftables: what kind, at which hook.
    private static func chains() throws(SystemError) -> [(type: String, hook: UInt32)] {
        var netlink = try Netlink(.netfilter)
        // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN and NFT_MSG_NEWCHAIN of <linux/netfilter/nf_tables.h>; struct nfgenmsg: any family, version 0
        let request = NetlinkRequest(10 << 8 | 4, flags: Int32(NLM_F_DUMP), fixed: [0, 0, 0, 0])
        let messages: [NetlinkMessage]
        do throws(SystemError) {
            messages = try netlink.list(request, "NFT_MSG_GETCHAIN", "chains of nftables")
        } catch {
            if [EOPNOTSUPP, EINVAL, EPROTONOSUPPORT].contains(error.number) { return [] }
            throw error
        }
        return messages.compactMap { message in
            guard message.type == 10 << 8 | 3 else { return nil }
            let attributes = message.attributes(after: 4)
            // NFTA_CHAIN_TYPE; NFTA_CHAIN_HOOK with NFTA_HOOK_HOOKNUM in network byte order; chains that others jump to have neither
            guard let type = attributes[7]?.text, let hook = attributes[4],
                let number = NetlinkMessage.attributes(hook[...])[1]?.native(UInt32.self, at: 0)
            else { return nil }
            return (type, number.bigEndian)
        }
    }
}
