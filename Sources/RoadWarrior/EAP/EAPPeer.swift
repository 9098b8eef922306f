package import GatewayCrypto
import IKEMessages
package import Wire

/// A peer with a name and a password, RFC 3748: Identity, Notification and Nak, and one of the methods that a password is enough for.
package struct EAPPeer: EAPMethod {
    /// What it may use; a request for anything else is answered with a Nak.
    package enum Kind: String, CaseIterable, Sendable {
        case mschapv2, md5, gtc

        /// IANA's method type.
        package var type: UInt8 {
            switch self {
            case .mschapv2: 26
            case .md5: 4
            case .gtc: 6
            }
        }
    }

    /// Naks of one conversation.
    static let mostNaks = 3

    private let identity: [UInt8]
    private let password: Secret<[UInt8]>
    private let kinds: [Kind]
    private let entropy: any Entropy
    /// The method that was begun: no other may follow it.
    private var method: (kind: Kind, value: any PasswordMethod)?
    /// The request that was answered last, and its response, for a request that comes again (RFC 3748 section 4.1).
    private var answered: (request: [UInt8], response: [UInt8])?
    private var naks = 0
    package private(set) var fault: EAPMethodFault?

    /// `kinds`: the most wanted first. Identity and password are octets of UTF-8.
    package init(identity: [UInt8], password: Secret<[UInt8]>, kinds: [Kind] = [.mschapv2], entropy: any Entropy = SystemEntropy()) {
        self.identity = identity
        self.password = password
        self.kinds = kinds
        self.entropy = entropy
    }

    package var masterSessionKey: [UInt8]? { method?.value.masterSessionKey }
    package var acceptsSuccess: Bool { fault == nil && method?.value.hasSucceeded == true }

    package mutating func respond(to request: [UInt8]) -> [UInt8]? {
        guard fault == nil else { return nil }
        if let answered, answered.request == request { return answered.response }
        do {
            guard let packet = EAPPayload(request), packet.code == EAPCode.request.rawValue, let type = packet.type else {
                throw EAPMethodFault.malformed
            }
            let (answer, data) = try answer(EAPType(rawValue: type), Array(packet.octets.dropFirst(5)), packet.identifier)
            guard let response = EAPPayload(.response, identifier: packet.identifier, type: answer, data)?.octets else {
                throw EAPMethodFault.malformed
            }
            answered = (request, response)
            return response
        } catch {
            fault = error as? EAPMethodFault ?? .cryptography
            return nil
        }
    }

    private mutating func answer(_ type: EAPType, _ data: [UInt8], _ identifier: UInt8) throws(EAPMethodFault) -> (EAPType, [UInt8]) {
        switch type {
        case .identity:
            guard method == nil else { throw .unexpected }
            return (type, identity)
        case .notification: return (type, [])
        case .nak: throw .unexpected
        default: break
        }
        guard let kind = kinds.first(where: { $0.type == type.rawValue }) else { return try decline() }
        guard method == nil || method?.kind == kind else { throw .unexpected }
        // The old value goes before it is changed: on a fault the conversation is over anyway.
        var value = method?.value ?? begin(kind)
        let response = try value.answer(data, identifier: identifier)
        method = (kind, value)
        return (type, response)
    }

    /// RFC 3748 section 5.3.1: only a method that was not begun can be declined, and another not after it.
    private mutating func decline() throws(EAPMethodFault) -> (EAPType, [UInt8]) {
        guard method == nil else { throw .unexpected }
        naks += 1
        guard naks <= Self.mostNaks else { throw .noCommonMethod }
        return (.nak, kinds.isEmpty ? [0] : kinds.map(\.type))
    }

    private func begin(_ kind: Kind) -> any PasswordMethod {
        switch kind {
        case .mschapv2: MSCHAPv2(name: identity, password: password, entropy: entropy)
        case .md5: MD5Challenge(password: password)
        case .gtc: GenericTokenCard(password: password)
        }
    }
}

/// A method as the peer has it; each conversation has a value of its own.
protocol PasswordMethod: Sendable {
    /// The type data of the response to a request with these type data.
    mutating func answer(_ data: [UInt8], identifier: UInt8) throws(EAPMethodFault) -> [UInt8]
    /// Nothing is left that the method asks for.
    var hasSucceeded: Bool { get }
    var masterSessionKey: [UInt8]? { get }
}
