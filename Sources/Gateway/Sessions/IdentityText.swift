import IKEMessages
import PKI

extension IdentificationPayload {
    /// What people read: a distinguished name in its text form, everything else as the payload describes itself; escaped and capped (threats.md C11).
    var text: String {
        switch type {
        case .derASN1DN, .derASN1GN: PeerIdentity(type: type.rawValue, data: data)?.description ?? description
        default: description
        }
    }

    /// User-Name where nobody asked the client for one: names as they were sent, everything else as text (features.md RAD-1). Nothing is cut off
    /// here: whoever makes a request of it refuses what is too long.
    var userName: [UInt8] {
        switch type {
        case .fqdn, .rfc822Address, .keyID: data
        default: Array(text.utf8)
        }
    }
}
