package import GatewayCrypto

/// The keys that an EAP method gave the server, from MS-MPPE-Recv-Key and MS-MPPE-Send-Key (RFC 2548 sections 2.4.2 and 2.4.3); wiped when they go.
package final class MPPEKeys: Sendable {
    /// Octets of a master session key, RFC 3748 section 7.10.
    package static let masterSessionKeyLength = 64
    /// Octets that one of the two may have once decrypted.
    static let lengths = 16...32

    private let both: SecretOctets

    private init(_ both: consuming SecretOctets) {
        self.both = both
    }

    /// Recv followed by Send, padded with zeros to 64 octets.
    package func masterSessionKey() -> SecretOctets { both.copy() }

    /// The keys of one packet while it is read.
    final class Collected {
        private var recv: SecretOctets?
        private var send: SecretOctets?

        /// Throws `.badKey` for a length outside of 16 to 32 octets and for the second key of a kind.
        func take(_ octets: UnsafeRawBufferPointer, as type: RADIUSAttributeType) throws(RADIUSError) {
            guard MPPEKeys.lengths.contains(octets.count) else { throw .badKey }
            if type == .msMPPERecvKey {
                guard recv == nil else { throw .badKey }
                recv = unsafe SecretOctets(copying: octets)
            } else {
                guard send == nil else { throw .badKey }
                send = unsafe SecretOctets(copying: octets)
            }
        }

        /// Both keys or none; throws `.badKey` for one alone.
        func finished() throws(RADIUSError) -> MPPEKeys? {
            if recv == nil, send == nil { return nil }
            guard var both = recv.take(), let send = send.take() else { throw .badKey }
            both.append(send)
            both.append([UInt8](repeating: 0, count: MPPEKeys.masterSessionKeyLength - both.count))
            return MPPEKeys(both)
        }
    }
}
