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
}
