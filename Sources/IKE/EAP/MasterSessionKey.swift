package import GatewayCrypto

/// The MSK that an EAP method made, RFC 3748 section 7.10: wiped with its last owner, never printed.
package final class MasterSessionKey: Sendable {
    let octets: SecretOctets

    static let length = 64

    /// Fewer than 64 octets are followed by zeros (numbers.md, EAP keys); nil of fewer than 32, which no method that we know makes, and of more than 64.
    package convenience init?(_ octets: [UInt8]) {
        self.init(SecretOctets(copying: octets))
    }

    package init?(_ octets: consuming SecretOctets) {
        guard (32...Self.length).contains(octets.count) else { return nil }
        octets.append([UInt8](repeating: 0, count: Self.length - octets.count))
        self.octets = octets
    }
}
