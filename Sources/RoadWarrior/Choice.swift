import GatewayCrypto
import IKEMessages
import Wire

/// The ESP algorithms that the gateway chose.
struct ESPChoice: Equatable {
    let protection: ProtectionSuite
    let extended: Bool
    /// The gateway's, for packets that we send.
    let spi: UInt32
    /// Of this exchange's own, for perfect forward secrecy.
    let keyExchange: KeyExchangeMethod?
}

/// Reads the gateway's choice and checks that it is one of our offers, RFC 7296 section 2.7.
enum Choice {
    /// Why a choice is none.
    struct Fault: Error, Equatable {
        let words: String
    }

    static func ike(_ chosen: [Proposal], of offers: [Proposal]) throws(Fault) -> IKESuite {
        try suite(single(chosen, of: offers, spiLength: 0))
    }

    /// Of a rekey: with the gateway's SPI.
    static func rekeyedIKE(_ chosen: [Proposal], of offers: [Proposal]) throws(Fault) -> (IKESuite, IKESPI) {
        let proposal = try single(chosen, of: offers, spiLength: 8)
        let spi = proposal.spi.reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) }
        guard spi != 0 else { throw Fault(words: "an SPI of zero was chosen") }
        return (try suite(proposal), spi)
    }

    private static func suite(_ proposal: Proposal) throws(Fault) -> IKESuite {
        guard let protection = protection(proposal), let number = proposal.only(.pseudorandomFunction),
            let prf = PRF(PseudorandomFunction(rawValue: number.id)), let method = proposal.only(.keyExchange)
        else { throw Fault(words: "a proposal was chosen that lacks a transform") }
        return IKESuite(prf: prf, protection: protection, keyExchange: KeyExchangeMethod(rawValue: method.id))
    }

    static func esp(_ chosen: [Proposal], of offers: [Proposal]) throws(Fault) -> ESPChoice {
        try esp(single(chosen, of: offers, spiLength: 4))
    }

    private static func esp(_ proposal: Proposal) throws(Fault) -> ESPChoice {
        guard let protection = protection(proposal) else {
            throw Fault(words: "a proposal was chosen that lacks a transform")
        }
        let spi = proposal.spi.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard spi > 255 else { throw Fault(words: "an SPI was chosen that is reserved") }
        let method = proposal.only(.keyExchange).map { KeyExchangeMethod(rawValue: $0.id) }
        return ESPChoice(
            protection: protection, extended: proposal.only(.sequenceNumbers)?.id == 1, spi: spi,
            keyExchange: method == KeyExchangeMethod.none ? nil : method)
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
    func only(_ type: TransformType) -> Transform? {
        transforms.first { $0.type == type }
    }
}

extension Choice {
    /// Why an offer of the gateway is not taken.
    enum Refused: Error, Equatable {
        case none
        /// It would be with a key exchange of this method, RFC 7296 section 1.3.
        case otherMethod(KeyExchangeMethod)
    }

    /// Our answer to the gateway's ESP offer: its first proposal that holds a transform of ours for every type. Without a method in our proposals
    /// any that the gateway uses is taken, or none.
    static func answer(
        _ offered: [Proposal], with ours: [Proposal], keyExchange: KeyExchangeMethod?
    ) throws(Refused) -> (Proposal, ESPChoice) {
        var wanted: KeyExchangeMethod?
        for theirs in offered where theirs.protocolID == .esp && theirs.spi.count == 4 {
            for own in ours {
                guard var transforms = common(theirs, own) else { continue }
                let offeredMethods = methods(theirs)
                let ownMethods = methods(own)
                let allowed = offeredMethods.filter { ownMethods.isEmpty ? KeyExchange.supports($0) : ownMethods.contains($0) }
                if let keyExchange, allowed.contains(keyExchange) {
                    transforms.append(Transform(.keyExchange, id: keyExchange.rawValue))
                } else if let other = allowed.first {
                    wanted = wanted ?? other
                    continue
                } else if !ownMethods.isEmpty || !(offeredMethods.isEmpty || offeredMethods.contains(.none)) {
                    continue
                }
                let answer = Proposal(number: theirs.number, protocolID: .esp, spi: theirs.spi, transforms: transforms)
                if let choice = try? esp(answer) { return (answer, choice) }
            }
        }
        throw wanted.map { .otherMethod($0) } ?? .none
    }

    /// Our answer to the gateway's offer of a new IKE SA.
    static func answerIKE(
        _ offered: [Proposal], with ours: [Proposal], keyExchange: KeyExchangeMethod
    ) throws(Refused) -> (answer: Proposal, suite: IKESuite, spi: IKESPI) {
        var wanted: KeyExchangeMethod?
        for theirs in offered where theirs.protocolID == .ike && theirs.spi.count == 8 {
            let spi = theirs.spi.reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) }
            for own in ours where spi != 0 {
                guard let transforms = common(theirs, own) else { continue }
                let allowed = methods(theirs).filter { methods(own).contains($0) && KeyExchange.supports($0) }
                guard allowed.contains(keyExchange) else {
                    wanted = wanted ?? allowed.first
                    continue
                }
                let answer = Proposal(
                    number: theirs.number, protocolID: .ike, spi: theirs.spi,
                    transforms: transforms + [Transform(.keyExchange, id: keyExchange.rawValue)])
                if let suite = try? suite(answer) { return (answer, suite, spi) }
            }
        }
        throw wanted.map { .otherMethod($0) } ?? .none
    }

    private static func methods(_ proposal: Proposal) -> [KeyExchangeMethod] {
        proposal.transforms.filter { $0.type == .keyExchange }.map { KeyExchangeMethod(rawValue: $0.id) }
    }

    /// The first transform of theirs that is ours as well, of every type but key exchange; nil when a type has none.
    private static func common(_ theirs: Proposal, _ own: Proposal) -> [Transform]? {
        func needed(_ proposal: Proposal) -> Set<TransformType> {
            Set(proposal.transforms.filter { $0.type != .keyExchange && !($0.type == .integrity && $0.id == 0) }.map(\.type))
        }
        guard needed(theirs) == needed(own) else { return nil }
        var result: [Transform] = []
        for type in needed(theirs).sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let match = theirs.transforms.first(where: { $0.type == type && own.transforms.contains($0) }) else { return nil }
            result.append(match)
        }
        return result
    }
}
