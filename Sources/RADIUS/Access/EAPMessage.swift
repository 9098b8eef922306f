/// Which EAP methods may log a client in.
package enum EAPMethodRule: Equatable, Sendable {
    /// Those that derive a key: all but MD5-Challenge, OTP and GTC (AUTH-6, P15).
    case keying
    /// Any, `allow-non-keying-eap: true`.
    case any
    /// Those that authenticate the server too and resist dictionaries: for EAP-only (RFC 5998 section 3, P16).
    case mutual

    private static let nonKeyingMethods: Set<UInt32> = [4, 5, 6]
    /// TLS, SIM, TTLS, AKA, PEAP, FAST, PSK, SAKE, IKEv2, AKA', GPSK, PWD, EKE, TEAP.
    private static let mutualMethods: Set<UInt32> = [13, 18, 21, 23, 25, 43, 47, 48, 49, 50, 51, 52, 53, 55]

    /// As people call it; RFC 3748 section 5 and IANA's list.
    static func name(_ method: UInt32) -> String {
        switch method {
        case 4: "EAP-MD5"
        case 5: "EAP-OTP"
        case 6: "EAP-GTC"
        case 13: "EAP-TLS"
        case 18: "EAP-SIM"
        case 21: "EAP-TTLS"
        case 23: "EAP-AKA"
        case 25: "PEAP"
        case 26, 29: "EAP-MSCHAPv2"
        case 50: "EAP-AKA'"
        case 52: "EAP-PWD"
        default: "EAP type \(method)"
        }
    }

    /// Whether a method derives a key; no method does not.
    static func derivesKey(_ method: UInt32?) -> Bool { method.map { !nonKeyingMethods.contains($0) } ?? false }

    /// Whether a login by the method is allowed.
    func allows(_ method: UInt32?) -> Bool {
        switch self {
        case .any: true
        case .keying: Self.derivesKey(method)
        case .mutual: method.map(Self.mutualMethods.contains) ?? false
        }
    }
}

/// The header of an EAP packet, RFC 3748 section 4: all that a pass-through authenticator looks at.
struct EAPMessage: Equatable, Sendable {
    enum Code: UInt8, Sendable {
        case request = 1, response, success, failure
    }

    let code: Code
    let identifier: UInt8
    /// The method of a request or response; an expanded type of IETF's own is the type it stands for (RFC 3748 section 5.7).
    let type: UInt32?
    /// What follows the type's octet.
    let data: [UInt8]

    static let identity: UInt32 = 1
    static let nak: UInt32 = 3
    static let expanded: UInt32 = 254

    /// nil when the length lies, a request has no type, or a success has one.
    init?(_ octets: [UInt8]) {
        guard octets.count >= 4, octets.count <= 0xffff, Int(octets[2]) << 8 | Int(octets[3]) == octets.count, let code = Code(rawValue: octets[0])
        else { return nil }
        self.code = code
        identifier = octets[1]
        switch code {
        case .success, .failure:
            guard octets.count == 4 else { return nil }
            type = nil
            data = []
        case .request, .response:
            guard octets.count >= 5 else { return nil }
            data = Array(octets[5...])
            guard octets[4] == UInt8(Self.expanded) else {
                type = UInt32(octets[4])
                return
            }
            guard octets.count >= 12 else { return nil }
            let isIETF = octets[5..<8].allSatisfy { $0 == 0 }
            type = isIETF ? octets[8..<12].reduce(0) { $0 << 8 | UInt32($1) } : Self.expanded
        }
    }

    /// Whether it declines the method that was offered.
    var isNak: Bool { type == Self.nak }
}
