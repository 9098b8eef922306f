/// Acct-Terminate-Cause, RFC 2866 section 5.10: why a session ended (features.md RAD-7).
package enum TerminateCause: UInt32, Hashable, Sendable, CaseIterable {
    /// The client's Delete.
    case userRequest = 1
    /// The client no longer answers.
    case lostCarrier = 2
    case idleTimeout = 4
    case sessionTimeout = 5
    /// A Disconnect-Request, or the operator.
    case adminReset = 6
    /// The gateway was stopped in good order.
    case adminReboot = 7
    /// A fault of the gateway ended this session.
    case nasError = 9
    /// A new login took the session's place.
    case nasRequest = 10
    /// The gateway crashed: its next start says so.
    case nasReboot = 11

    /// The name in FreeRADIUS's dictionary.
    package var name: String {
        switch self {
        case .userRequest: "User-Request"
        case .lostCarrier: "Lost-Carrier"
        case .idleTimeout: "Idle-Timeout"
        case .sessionTimeout: "Session-Timeout"
        case .adminReset: "Admin-Reset"
        case .adminReboot: "Admin-Reboot"
        case .nasError: "NAS-Error"
        case .nasRequest: "NAS-Request"
        case .nasReboot: "NAS-Reboot"
        }
    }
}
