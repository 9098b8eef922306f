import Foundation
import IKEMessages
import Testing
import Wire

/// Ways to damage octets.
enum Mutation: CaseIterable {
    case bit, octet, length, truncation, insertion, removal, duplication, splice
    /// A payload gets another type, and may be critical.
    case payloadType
    /// A payload stands there twice.
    case payloadDuplication

    /// `first`: where the chain of payloads begins.
    func apply(to octets: [UInt8], first: Int, other: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
        guard !octets.isEmpty else { return other }
        var result = octets
        let place = Int.random(in: 0..<octets.count, using: &random)
        switch self {
        case .bit: result[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case .octet: result[place] = UInt8.random(in: .min ... .max, using: &random)
        case .length:
            let values: [UInt16] = [0, 1, 3, 4, 5, 7, 8, 9, 255, 256, 0x7fff, 0x8000, 65534, 65535, UInt16(truncatingIfNeeded: octets.count)]
            result.patch(bigEndian: values.randomElement(using: &random) ?? 0, at: place)
        case .truncation: result = Array(octets.prefix(place))
        case .insertion: result.insert(contentsOf: random.octets(Int.random(in: 1...8, using: &random)), at: place)
        case .removal: result.removeSubrange(place..<min(octets.count, place + Int.random(in: 1...8, using: &random)))
        case .duplication:
            let part = octets[place..<min(octets.count, place + Int.random(in: 1...64, using: &random))]
            result.insert(contentsOf: part, at: place)
        case .splice:
            let from = other.isEmpty ? 0 : Int.random(in: 0..<other.count, using: &random)
            result = Array(octets.prefix(place) + other.dropFirst(from))
        case .payloadType:
            let places = Self.payloads(of: octets, from: first)
            guard let index = places.indices.randomElement(using: &random) else { return octets }
            if index > 0 {
                result[places[index - 1].lowerBound] =
                    [
                        .random(in: .min ... .max, using: &random), .random(in: 33...53, using: &random), 46, 53,
                    ].randomElement(using: &random) ?? 0
            }
            result[places[index].lowerBound + 1] = UInt8.random(in: .min ... .max, using: &random)
        case .payloadDuplication:
            // Its next payload becomes its own type, which the payload before it says.
            let places = Self.payloads(of: octets, from: first)
            guard let index = places.indices.dropFirst().randomElement(using: &random) else { return octets }
            let part = octets[places[index]]
            result[places[index].lowerBound] = octets[places[index - 1].lowerBound]
            for _ in 0..<Int.random(in: 1...70, using: &random) {
                var copy = Array(part)
                copy[0] = octets[places[index - 1].lowerBound]
                result.insert(contentsOf: copy, at: places[index].lowerBound)
            }
            let last = places[index].lowerBound + (result.count - octets.count)
            result[last] = octets[places[index].lowerBound]
        }
        return result
    }

    /// Where the payloads of a chain lie, as far as their lengths make sense.
    private static func payloads(of octets: [UInt8], from first: Int) -> [Range<Int>] {
        var places: [Range<Int>] = []
        var place = first
        while place + 4 <= octets.count {
            let length = Int(octets[place + 2]) << 8 | Int(octets[place + 3])
            guard length >= 4, place + length <= octets.count else { break }
            places.append(place..<place + length)
            place += length
        }
        return places
    }
}

@Suite("Mutation of every capture: the same meaning again, or a typed error")
struct MutationTests {
    /// 10^4 here; a soak sets more.
    static let runs = ProcessInfo.processInfo.environment["IPSEC_GW_RANDOM_RUNS"].flatMap(Int.init) ?? 10_000
    static let seed = ProcessInfo.processInfo.environment["IPSEC_GW_SEED"].flatMap(UInt64.init) ?? 0x7296_2026

    @Test("C1 C2 parse, encode, parse again is parse")
    func threat_C1_mutatedCaptures() throws {
        print("mutation: \(Self.runs) runs, seed \(Self.seed) (IPSEC_GW_SEED)")
        var random = SeededGenerator(seed: Self.seed)
        let captures = Capture.all
        try #require(!captures.isEmpty)
        let clock = ContinuousClock()
        let start = clock.now
        var slowest = Duration.zero
        var survived = 0
        var refused: [String: Int] = [:]
        for run in 0..<Self.runs {
            let capture = captures[run % captures.count]
            var octets = capture.octets
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let other = captures.randomElement(using: &random)?.octets ?? []
                let mutation = Mutation.allCases.randomElement(using: &random) ?? .bit
                octets = mutation.apply(
                    to: octets, first: capture.kind == .message ? IKEHeader.length : 0, other: other, using: &random)
            }
            // Half of the damaged messages claim their true length, or nothing behind the header would ever be looked at.
            if capture.kind == .message, octets.count >= IKEHeader.length, Bool.random(using: &random) {
                octets.patch(bigEndian: UInt32(octets.count), at: 24)
            }
            let began = clock.now
            let outcome: MessageError?
            do throws(MessageError) {
                try check(capture, octets, run)
                survived += 1
                outcome = nil
            } catch {
                outcome = error
            }
            slowest = max(slowest, clock.now - began)
            if let outcome { refused[kind(of: outcome), default: 0] += 1 }
        }
        // The damage reaches all of the parser, and not everything is refused.
        print("mutation: \(survived) parsed, refused \(refused.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
        #expect(survived > Self.runs / 20 && survived < Self.runs, "seed \(Self.seed): \(survived) survived")
        for expected in ["header", "version", "critical", "chain", "payload", "misplaced", "too many"] {
            #expect(refused[expected, default: 0] > 0, "seed \(Self.seed): no \(expected) among \(refused)")
        }
        #expect(slowest < .milliseconds(500), "seed \(Self.seed): \(slowest)")
        #expect(clock.now - start < .seconds(60 + Self.runs / 200))
    }

    /// What was parsed means the same when it is encoded and parsed again, and has its length; then encoding changes nothing any more.
    private func check(_ capture: Capture, _ octets: [UInt8], _ run: Int) throws(MessageError) {
        let (payloads, encoded) = try capture.reencode(octets)
        let place: Comment = "seed \(Self.seed), run \(run), \(capture.testDescription): \(octets.hexadecimal)"
        #expect(encoded.count == octets.count, place)
        do throws(MessageError) {
            let (again, twice) = try capture.reencode(encoded)
            #expect(again == payloads, place)
            #expect(twice == encoded, place)
        } catch {
            Issue.record("what we encoded we cannot parse: \(error); seed \(Self.seed), run \(run): \(octets.hexadecimal)")
        }
        exchanges(payloads)
    }

    /// Whatever parses is offered to every exchange: a value or a typed error, and its identities fit into a log.
    private func exchanges(_ payloads: [Payload]) {
        for sample in ExchangeSample.all { _ = sample.outcome(payloads) }
        for case .initiatorIdentification(let identity) in payloads {
            let text = identity.description
            #expect(text.utf8.count <= 256 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        }
    }

    private func kind(of error: MessageError) -> String {
        switch error {
        case .malformedHeader: "header"
        case .unsupportedMajorVersion: "version"
        case .unsupportedCriticalPayload: "critical"
        case .invalidSyntax(.chain): "chain"
        case .invalidSyntax(.payload): "payload"
        case .invalidSyntax(.misplaced): "misplaced"
        case .invalidSyntax(.tooManyPayloads): "too many"
        case .invalidSyntax: "other"
        }
    }

    @Test("C1 random octets, alone and behind a good header")
    func threat_C1_randomOctets() {
        var random = SeededGenerator(seed: Self.seed &+ 1)
        for run in 0..<2000 {
            let noise = random.octets(Int.random(in: 0...400, using: &random))
            _ = parse(noise)
            let type = UInt8.random(in: 33...53, using: &random)
            let message = Raw.header(next: type, length: 28 + noise.count) + noise
            if case .refused(.malformedHeader) = parse(message) { Issue.record("seed \(Self.seed), run \(run): the header was good") }
            for sample in PayloadSample.all { _ = parse(sample.payload.type, noise) }
        }
    }

    @Test("C1 every prefix of every capture is refused", arguments: Capture.all)
    func threat_C1_prefixes(capture: Capture) {
        for count in 0..<capture.octets.count {
            var octets = Array(capture.octets.prefix(count))
            if capture.kind == .message, count >= IKEHeader.length { octets.patch(bigEndian: UInt32(count), at: 24) }
            let error = refusal { () throws(MessageError) in try capture.reencode(octets) }
            #expect(error != nil, "\(count) octets of \(capture.octets.count)")
        }
    }
}
