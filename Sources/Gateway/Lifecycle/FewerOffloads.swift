import Datapath
import FoundationEssentials

/// Offloads other than all that the kernel has, so that a test or a measurement sees the datapath without them: `IPSEC_GW_OFFLOADS=none`, `tun`, `udp`
/// or `all`. A start with it is warned of.
enum FewerOffloads {
    static let variable = "IPSEC_GW_OFFLOADS"
    /// nil unless the variable is set to one of the four.
    static let current = ProcessInfo.processInfo.environment[variable].flatMap(Datapath.Offloads.init)
}
