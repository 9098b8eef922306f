import Datapath
import ESP
import GatewayCrypto
import IKE
import IKEMessages
import Wire

extension Selectors {
    /// The selectors of a negotiated Child SA, as the datapath enforces them.
    init(_ child: ChildSA) {
        self.init(local: child.localSelectors.map(Entry.init), remote: child.remoteSelectors.map(Entry.init))
    }
}

extension Selectors.Entry {
    init(_ selector: TrafficSelector) {
        self.init(selector.addresses, ipProtocol: selector.ipProtocol, startPort: selector.startPort, endPort: selector.endPort)
    }
}

extension ChildSAKeys {
    init(_ keys: consuming ChildKeys) {
        self.init(
            inboundEncryption: keys.inboundEncryption.copy(), inboundIntegrity: keys.inboundIntegrity.copy(),
            outboundEncryption: keys.outboundEncryption.copy(), outboundIntegrity: keys.outboundIntegrity.copy())
    }
}

extension SALifetimes {
    /// Soft limits as IKE drew them; hard ones are the datapath's own.
    init(_ child: ChildSA) {
        self.init()
        guard let soft = child.soft else { return }
        softPackets = soft.packets
        softOctets = soft.octets
        hardOctets = soft.octets.map { $0 * 4 }
    }
}

extension ClosingReason {
    /// The reason as an operator reads it.
    var plain: String {
        switch self {
        case .peerDelete: "client left"
        case .deadPeer: "dead peer"
        case .lifetime: "lifetime over"
        case .operatorRequest: "cleared by operator"
        case .disconnected: "disconnected by RADIUS"
        case .sessionTimeout: "session time over"
        case .idleTimeout: "idle too long"
        case .replaced: "replaced by a new login"
        case .shutdown: "gateway stops"
        case .configuration: "configuration changed"
        case .childless: "no Child SA"
        case .authenticationFailed: "authentication failed"
        case .halfOpenTimeout: "login not finished in time"
        case .protocolError: "protocol error"
        case .internalError: "internal error"
        }
    }
}

/// Algorithms by the names that the configuration uses.
enum AlgorithmNames {
    static func encryption(_ suite: ProtectionSuite) -> String {
        switch suite.encryption {
        case .aesCBC: "aes-\(suite.keyBits)"
        case .aesGCM8: "aes\(suite.keyBits)-gcm8"
        case .aesGCM12: "aes\(suite.keyBits)-gcm12"
        case .aesGCM16: "aes\(suite.keyBits)-gcm16"
        case .nullAESGMAC: "null-aes\(suite.keyBits)-gmac"
        case .chaCha20Poly1305: "chacha20-poly1305"
        case .tripleDES: "des-3"
        case .des: "des"
        case .null: "null"
        default: "encryption-\(suite.encryption.rawValue)"
        }
    }

    /// Empty with an AEAD.
    static func integrity(_ suite: ProtectionSuite) -> String {
        switch suite.integrity {
        case .none: ""
        case .hmacMD5_96: "md-5"
        case .hmacSHA1_96: "sha-1"
        case .aesXCBC_96: "aes-xcbc"
        case .hmacSHA256_128: "sha-256"
        case .hmacSHA384_192: "sha-384"
        case .hmacSHA512_256: "sha-512"
        default: "integrity-\(suite.integrity.rawValue)"
        }
    }

    static func pseudorandomFunction(_ function: PseudorandomFunction) -> String {
        switch function {
        case .hmacMD5: "md-5"
        case .hmacSHA1: "sha-1"
        case .aesXCBC: "aes-xcbc"
        case .hmacSHA256: "sha-256"
        case .hmacSHA384: "sha-384"
        case .hmacSHA512: "sha-512"
        default: "prf-\(function.rawValue)"
        }
    }

    static func keyExchange(_ method: KeyExchangeMethod) -> String {
        switch method {
        case .x25519: "x25519"
        case .x448: "x448"
        default: "group-\(method.rawValue)"
        }
    }

    static func text(_ proposal: IKEProposal) -> String {
        [encryption(proposal.suite), integrity(proposal.suite), pseudorandomFunction(proposal.prf), keyExchange(proposal.keyExchange)]
            .filter { !$0.isEmpty }.joined(separator: "/")
    }

    static func text(_ proposal: ESPProposal) -> String {
        [encryption(proposal.suite), integrity(proposal.suite), proposal.extendedSequenceNumbers ? "esn" : ""]
            .filter { !$0.isEmpty }.joined(separator: "/")
    }

    /// The alternatives of a transform, by ProtectionSuite's names.
    static func names(of transform: IPsecTransform) -> [String] {
        transform.encryption.flatMap { choice in
            (transform.integrity.isEmpty ? [.none] : transform.integrity).compactMap { integrity in
                ProtectionSuite(encryption: choice.algorithm, keyBits: choice.keyBits, integrity: integrity).map {
                    [encryption($0), self.integrity($0)].filter { !$0.isEmpty }.joined(separator: "/")
                }
            }
        }
    }
}
