import Foundation
import Testing
import Wire

@testable import GatewayCrypto

/// A record in memory as the packet path has it: together as in an ESP packet, or its parts apart.
final class LaidOut {
    private let memory: UnsafeMutableRawBufferPointer
    let aad, iv, trailer: UnsafeRawBufferPointer
    let text, icv: UnsafeMutableRawBufferPointer

    /// An ICV of the given length where the record has none.
    init(_ record: Record, icvLength: Int, together: Bool) {
        let icvOctets = record.icv.isEmpty ? [UInt8](repeating: 0, count: icvLength) : record.icv
        let parts = [record.aad, record.iv, record.text, icvOctets, record.trailer]
        let gap = together ? 0 : 3
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: parts.map { $0.count + gap }.reduce(1, +), alignment: 1)
        var places: [UnsafeMutableRawBufferPointer] = []
        var offset = 0
        for part in together ? parts : parts.reversed() {
            let place = UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + part.count])
            place.copyBytes(from: part)
            places.append(place)
            offset += part.count + gap
        }
        if !together { places.reverse() }
        self.memory = memory
        aad = UnsafeRawBufferPointer(places[0])
        iv = UnsafeRawBufferPointer(places[1])
        text = places[2]
        icv = places[3]
        trailer = UnsafeRawBufferPointer(places[4])
    }

    deinit { memory.deallocate() }

    var record: Record {
        Record(aad: Array(aad), iv: Array(iv), text: Array(text), trailer: Array(trailer), icv: Array(icv))
    }
}

extension RecordBatch {
    mutating func seal(_ cipher: inout RecordCipher, _ laid: LaidOut) -> Int? {
        seal(&cipher, aad: laid.aad, iv: laid.iv, text: laid.text, macTrailer: laid.trailer, icv: laid.icv)
    }

    mutating func open(_ cipher: inout RecordCipher, _ laid: LaidOut) -> Int? {
        open(&cipher, aad: laid.aad, iv: laid.iv, text: laid.text, macTrailer: laid.trailer, icv: laid.icv)
    }
}

/// Both directions of one SA by one engine.
final class KeyedPair {
    var sealer: RecordCipher
    var opener: RecordCipher

    init(_ suite: ProtectionSuite, seed: UInt64, engine: CryptoEngine) throws {
        sealer = try suite.cipher(.seal, seed: seed, engine: engine)
        opener = try suite.cipher(.open, seed: seed, engine: engine)
    }
}
