import Foundation
import Testing

/// Our private keys sign, and do nothing else.
struct UseOfPrivateKeysTests {
    @Test("threats.md C13: nothing in the package decrypts or unwraps with a private key")
    func threat_C13_noDecryptionWithPrivateKeys() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)).compactMap { $0 as? URL }
            .filter { ["swift", "h", "c"].contains($0.pathExtension) }
        #expect(files.count > 150)
        let calls = [
            "EVP_PKEY_decrypt", "EVP_PKEY_decapsulate", "EVP_PKEY_verify_recover", "RSA_private_decrypt", "RSA_private_encrypt", "EVP_OpenInit",
            "CMS_decrypt", "PKCS7_decrypt", "ECIES",
        ]
        var signs = 0
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8)
            for call in calls { #expect(!text.contains(call), "\(file.lastPathComponent) calls \(call)") }
            signs += text.contains("EVP_DigestSign") ? 1 : 0
        }
        #expect(signs > 0, "the search looks where keys are used")
    }
}
