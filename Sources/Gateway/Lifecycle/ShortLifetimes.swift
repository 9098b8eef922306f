import FoundationEssentials
import IKE

/// Lifetimes below what a configuration may ask for, so that a test sees rekeys within seconds: `IPSEC_GW_LIFETIMES=isakmp=30,ipsec=10,packets=500`.
/// Seconds, and packets in one direction; what is not named, or longer than configured, stays as it is. A start with it is warned of.
struct ShortLifetimes: Sendable {
    private var isakmp: Int?
    private var ipsec: Int?
    private var packets: UInt64?

    static let variable = "IPSEC_GW_LIFETIMES"
    /// nil unless the variable is set.
    static let current = ProcessInfo.processInfo.environment[variable].map(ShortLifetimes.init)

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
            for index in profile.policy.transforms.indices {
                profile.policy.transforms[index].lifetime = min(profile.policy.transforms[index].lifetime, .seconds(isakmp))
            }
        }
        if let ipsec {
            profile.policy.ipsecLifetime = min(profile.policy.ipsecLifetime, .seconds(ipsec))
            for index in profile.childTransforms.indices {
                profile.childTransforms[index].lifetime = profile.childTransforms[index].lifetime.map { min($0, .seconds(ipsec)) }
            }
        }
        if let packets { profile.packetLifetime = min(profile.packetLifetime, packets) }
    }
}
