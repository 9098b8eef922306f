import Testing
import Wire

@testable import GatewayCrypto

@Suite("Secrets and entropy")
struct SecretOctetsTests {
    @Test("Octets go in, are appended, cut and compared")
    func basics() throws {
        var secret = SecretOctets(copying: [1, 2, 3])
        #expect(secret.count == 3)
        let copy = secret.copy()
        secret.append([4, 5])
        secret.append(copy)
        secret.append([])
        #expect(secret.exposed() == [1, 2, 3, 4, 5, 1, 2, 3])
        #expect(copy.exposed() == [1, 2, 3])
        #expect(try secret.slice(3..<5).exposed() == [4, 5])
        #expect(try secret.slice(0..<8).isEqual(to: secret) == true)
        #expect(try secret.slice(8..<8).count == 0)
        #expect(try secret.slice(5..<8).isEqual(to: copy) == true)
        #expect(secret.isEqual(to: [1, 2, 3, 4, 5, 1, 2, 3]) == true)
        #expect(secret.isEqual(to: copy) == false)
        #expect(secret.isEqual(to: [1, 2, 3]) == false)
        #expect(secret.isEqual(to: [1, 2, 3, 4, 5, 1, 2, 4]) == false)
        secret.withUnsafeMutableBytes { $0[0] = 9 }
        #expect(secret.withUnsafeBytes { $0[0] } == 9)
        #expect(SecretOctets(count: 4).exposed() == [0, 0, 0, 0])
        #expect([5, 6].withUnsafeBytes { SecretOctets(copying: $0).count } == 16)
    }

    @Test("Nothing is an octet string too")
    func empty() throws {
        var none = SecretOctets(count: 0)
        #expect(none.count == 0 && none.exposed() == [])
        #expect(none.isEqual(to: []) && none.isEqual(to: SecretOctets(copying: [])))
        #expect(SecretOctets(count: -5).count == 0)
        none.append([7])
        #expect(none.isEqual(to: [7]) == true)
    }

    @Test("threats.md C4: a range outside is refused", arguments: [-1..<2, 0..<5, 4..<5, 5..<6, 0..<40, 3..<Int.max, Int.min..<1])
    func threat_C4_slices(range: Range<Int>) {
        let secret = SecretOctets(copying: [1, 2, 3, 4])
        #expect(throws: CryptoError.badLength) { _ = try secret.slice(range).count }
    }

    @Test("A seed repeats its stream; another seed gives another")
    func seeded() {
        let (left, right) = (SeededEntropy(seed: 42), SeededEntropy(seed: 42))
        for count in [0, 1, 7, 8, 9, 32, 1000] {
            let octets = left.octets(count)
            #expect(octets.count == count)
            #expect(right.secret(count).isEqual(to: octets) == true)
        }
        #expect(SeededEntropy(seed: 1).octets(16) != SeededEntropy(seed: 2).octets(16))
        #expect(left.octets(16) != left.octets(16))
        #expect(left.octets(-1) == [])
    }

    @Test("The system's entropy does not repeat, and fills every octet")
    func system() {
        let entropy = SystemEntropy()
        #expect(Set((0..<100).map { _ in entropy.octets(16) }).count == 100)
        #expect(entropy.secret(32).isEqual(to: entropy.secret(32)) == false)
        #expect(entropy.octets(0) == [] && entropy.octets(-1) == [] && entropy.secret(0).count == 0)
        var seen = [UInt8](repeating: 0, count: 33)
        for _ in 0..<64 { for (index, octet) in entropy.octets(33).enumerated() { seen[index] |= octet } }
        #expect(!seen.contains(0))
    }

    @Test("The library says which it is")
    func version() {
        #expect(CryptoLibrary.version.hasPrefix("OpenSSL 3."))
    }
}
