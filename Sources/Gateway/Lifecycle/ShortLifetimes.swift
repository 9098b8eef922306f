import FoundationEssentials
import IKE

/// Lifetimes far below what a configuration may ask for, so that a test sees rekeys within seconds: `IPSEC_GW_LIFETIMES=isakmp=30,ipsec=10,packets=500`.
/// Seconds, and packets in one direction; what is not named stays as configured.
struct ShortLifetimes: Sendable {
    private var isakmp: Int?
    private var ipsec: Int?
    private var packets: UInt64?

    /// nil unless the variable is set.
    static let current = ProcessInfo.processInfo.environment["IPSEC_GW_LIFETIMES"].map(ShortLifetimes.init)

    init(_ text: String) {
        for item in text.split(separator: ",") {
            let parts = item.split(separator: "=")
            guard parts.count == 2, let number = Int(parts[1]), number > 0 else { continue }
            switch parts[0] {
            case "isakmp": isakmp = number
            case "ipsec": ipsec = number
            case "packets": packets = UInt64(number)
            default: continue
            }
        }
    }

    func shorten(_ profile: inout GatewayProfile) {
        if let isakmp {
            for index in profile.policy.transforms.indices { profile.policy.transforms[index].lifetime = .seconds(isakmp) }
        }
        if let ipsec {
            profile.policy.ipsecLifetime = .seconds(ipsec)
            for index in profile.childTransforms.indices { profile.childTransforms[index].lifetime = nil }
        }
        if let packets { profile.packetLifetime = packets }
    }
}
