import GatewayCrypto
import Wire

/// EAP-MSCHAPv2, draft-kamath-pppext-eap-mschapv2-02: challenge and response both ways, and keys of them.
///
///     +---------------+---------------+-------------------------------+
///     |    OpCode     |  MS-CHAPv2-ID |  MS-Length                    |
///     |  Value-Size   |  Value, and a name; or a text                 |
///     +---------------+-----------------------------------------------+
struct MSCHAPv2: PasswordMethod {
    private enum OpCode { static let challenge: UInt8 = 1, response: UInt8 = 2, success: UInt8 = 3, failure: UInt8 = 4 }

    private enum Stage {
        case idle
        /// We have answered; what the server must say to be believed.
        case answered(server: [UInt8], key: Secret<[UInt8]>)
        case succeeded(key: Secret<[UInt8]>)
        /// The server said that the answer was wrong, and we have heard it.
        case failed
    }

    private let name: [UInt8]
    private let password: Secret<[UInt8]>
    private let entropy: any Entropy
    private var stage = Stage.idle

    init(name: [UInt8], password: Secret<[UInt8]>, entropy: any Entropy) {
        self.name = name
        self.password = password
        self.entropy = entropy
    }

    var hasSucceeded: Bool { if case .succeeded = stage { true } else { false } }
    var masterSessionKey: [UInt8]? { if case .succeeded(let key) = stage { key.revealed() } else { nil } }

    mutating func answer(_ data: [UInt8], identifier: UInt8) throws(EAPMethodFault) -> [UInt8] {
        var text = unsafe data.span.bytes
        do {
            let code = try text.next(UInt8.self)
            let number = try text.next(UInt8.self)
            guard Int(try text.next(UInt16.self)) == data.count else { throw EAPMethodFault.malformed }
            switch (code, stage) {
            case (OpCode.challenge, .idle):
                guard try text.next(UInt8.self) == 16 else { throw EAPMethodFault.malformed }
                return try respond(try text.octets(16), number)
            case (OpCode.success, .answered(let server, let key)):
                guard let claim = Self.claim(text.rest()) else { throw EAPMethodFault.malformed }
                guard SecretOctets(copying: server).isEqual(to: claim) else { throw EAPMethodFault.serverNotAuthenticated }
                stage = .succeeded(key: key)
                return [OpCode.success]
            case (OpCode.failure, .answered):
                // Whatever it invites to, another try or another password: we have but this one.
                stage = .failed
                return [OpCode.failure]
            default: throw EAPMethodFault.unexpected
            }
        } catch let error as EAPMethodFault {
            throw error
        } catch is CryptoError {
            throw .cryptography
        } catch {
            throw .malformed
        }
    }

    private mutating func respond(_ challenge: [UInt8], _ number: UInt8) throws -> [UInt8] {
        let own = entropy.octets(16)
        let proof = try MSCHAPv2Proof(challenge: challenge, peerChallenge: own, name: name, password: password.revealed())
        stage = .answered(server: proof.authenticatorResponse, key: Secret(proof.masterSessionKey))
        let value = own + [UInt8](repeating: 0, count: 8) + proof.response + [0]
        var answer = [OpCode.response, number]
        answer.append(bigEndian: UInt16(truncatingIfNeeded: 5 + value.count + name.count))
        return answer + [UInt8(truncatingIfNeeded: value.count)] + value + name
    }

    /// The 20 octets behind `S=`, RFC 2759 section 5; nil unless that is how the text begins.
    private static func claim(_ text: [UInt8]) -> [UInt8]? {
        guard text.starts(with: Array("S=".utf8)), text.count >= 42, text.count == 42 || text[42] == UInt8(ascii: " ") else { return nil }
        return [UInt8](hexadecimal: String(decoding: text[2..<42], as: UTF8.self))
    }
}
