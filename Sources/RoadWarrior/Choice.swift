import GatewayCrypto
import IKEMessages
import Wire

/// The ESP algorithms that the gateway chose.
struct ESPChoice: Equatable {
    let protection: ProtectionSuite
    let extended: Bool
    let spi: UInt32
}

/// Reads the gateway's choice and checks that it is one of our offers, RFC 7296 section 2.7.
enum Choice {
    /// Why a choice is none.
    struct Fault: Error, Equatable {
        let words: String
    }

    static func ike(_ chosen: [Proposal], of offers: [Proposal]) throws(Fault) -> IKESuite {
        let proposal = try single(chosen, of: offers, spiLength: 0)
        guard let protection = protection(proposal), let number = proposal.only(.pseudorandomFunction),
            let prf = PRF(PseudorandomFunction(rawValue: number.id)), let method = proposal.only(.keyExchange)
        else { throw Fault(words: "a proposal was chosen that lacks a transform") }
        return IKESuite(prf: prf, protection: protection, keyExchange: KeyExchangeMethod(rawValue: method.id))
    }

    static func esp(_ chosen: [Proposal], of offers: [Proposal]) throws(Fault) -> ESPChoice {
        let proposal = try single(chosen, of: offers, spiLength: 4)
        guard let protection = protection(proposal) else {
            throw Fault(words: "a proposal was chosen that lacks a transform")
        }
        let spi = proposal.spi.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard spi > 255 else { throw Fault(words: "an SPI was chosen that is reserved") }
        return ESPChoice(
            protection: protection, extended: proposal.only(.sequenceNumbers)?.id == 1, spi: spi)
    }

    private static func single(_ chosen: [Proposal], of offers: [Proposal], spiLength: Int) throws(Fault) -> Proposal {
        guard chosen.count == 1, let proposal = chosen.first else {
            throw Fault(words: "\(chosen.count) proposals were chosen instead of one")
        }
        guard let offer = offers.first(where: { $0.number == proposal.number && $0.protocolID == proposal.protocolID })
        else { throw Fault(words: "a proposal was chosen that was not offered") }
        guard proposal.spi.count == spiLength else { throw Fault(words: "an SPI of the wrong size was chosen") }
        // INTEG NONE may be said or left out beside an AEAD cipher, RFC 7296 section 3.3.3.
        let transforms = proposal.transforms.filter { !($0.type == .integrity && $0.id == 0) }
        guard Set(transforms.map(\.type)).count == transforms.count else {
            throw Fault(words: "two transforms of one type were chosen")
        }
        guard transforms.allSatisfy({ offer.transforms.contains($0) }) else {
            throw Fault(words: "a transform was chosen that was not offered")
        }
        guard Set(transforms.map(\.type)) == Set(offer.transforms.map(\.type)) else {
            throw Fault(words: "a proposal was chosen that lacks a transform")
        }
        return proposal
    }

    private static func protection(_ proposal: Proposal) -> ProtectionSuite? {
        guard let encryption = proposal.only(.encryption) else { return nil }
        return ProtectionSuite(
            encryption: EncryptionAlgorithm(rawValue: encryption.id), keyBits: Int(encryption.keyLength ?? 0),
            integrity: IntegrityAlgorithm(rawValue: proposal.only(.integrity)?.id ?? 0))
    }
}

extension Proposal {
    fileprivate func only(_ type: TransformType) -> Transform? {
        transforms.first { $0.type == type }
    }
}
