import GatewayCrypto
import RADIUS
import Testing
import Wire

/// Octets of a vector; blanks and line ends are passed over. A wrong digit fails the test that uses it.
func octets(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    guard let octets = [UInt8](hexadecimal: text) else {
        Issue.record("not hexadecimal: \(text)", sourceLocation: sourceLocation)
        return []
    }
    return octets
}

/// The secret of the vectors.
let secret = Secret(Array("xyzzy5461".utf8))
/// The request authenticator of the vectors.
let vector = [UInt8](0x20..<0x30)

/// The dictionary, loaded before the first packet.
enum Dictionary {
    static let isLoaded: Bool = {
        do {
            try RADIUSDictionary.load()
            return true
        } catch {
            Issue.record("\(error)")
            return false
        }
    }()
}

/// A reply as a server sends it.
func reply(
    _ code: RADIUSCode, _ attributes: [RADIUSAttribute], identifier: UInt8 = 9, to request: [UInt8] = vector, secret: Secret<[UInt8]> = secret,
    signed: Bool? = nil
) throws -> [UInt8] {
    try #require(Dictionary.isLoaded)
    return try RADIUSPacket(code, identifier: identifier, attributes: attributes).encode(secret: secret, request: request, signed: signed)
}

/// What we make of a reply to the vectors' request.
@discardableResult func decoded(
    _ octets: [UInt8], request: [UInt8]? = vector, secret: Secret<[UInt8]> = secret, required: Bool = true
) throws -> RADIUSPacket {
    try #require(Dictionary.isLoaded)
    return try RADIUSPacket(decoding: octets, secret: secret, request: request, requiresMessageAuthenticator: required)
}

/// The master session key, to compare.
func exposed(_ keys: MPPEKeys) -> [UInt8] {
    let key = keys.masterSessionKey()
    return key.exposed()
}

extension [UInt8] {
    /// With one octet changed.
    func changing(_ index: Int, to value: UInt8) -> [UInt8] {
        var copy = self
        copy[index] = value
        return copy
    }
}
