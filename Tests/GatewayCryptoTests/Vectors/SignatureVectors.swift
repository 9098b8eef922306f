import Testing

@testable import GatewayCrypto

/// A key with a signature that is known.
struct SignatureVector: Sendable, CustomTestStringConvertible {
    let name: String
    let scheme: SignatureScheme
    /// The private value alone.
    let secret: String
    /// x | y, or Ed25519's 32 octets.
    let publicValue: String
    let message: String
    let signature: String

    var testDescription: String { name }

    /// RFC 4754 section 8: the ECDSA of methods 9, 10 and 11.
    static let concatenated: [SignatureVector] = [
        SignatureVector(
            name: "RFC 4754 section 8.1", scheme: .method9,
            secret: "dc51d3866a15bacde33d96f992fca99da7e6ef0934e7097559c27f1614c88a7f",
            publicValue: """
                2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e9706fc98bd7e50211a4a27102fa3549df79ebcb
                4bf246b80945cddfe7d509bbfd7d
                """,
            message: "616263",
            signature: """
                cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c86fa3bb4e26cad5bf90b7f81899256ce7594
                bb1ea0c89212748bff3b3d5b0315
                """),
        SignatureVector(
            name: "RFC 4754 section 8.2", scheme: .method10,
            secret: "0beb646634ba87735d77ae4809a0ebea865535de4c1e1dcb692e84708e81a5af62e528c38b2a81b35309668d73524d9f",
            publicValue: """
                96281bf8dd5e0525ca049c048d345d3082968d10fedf5c5aca0c64e6465a97ea5ce10c9dfec21797415710721f4379224476
                88ba94708eb6e2e4d59f6ab6d7edff9301d249fe49c33096655f5d502fad3d383b91c5e7edaa2b714cc99d5743ca
                """,
            message: "616263",
            signature: """
                fb017b914e29149432d8bac29a514640b46f53ddab2c69948084e2930f1c8f7e08e07c9c63f2d21a07dcb56a6af56eb3b263
                a1305e057f984d38726a1b46874109f417bca112674c528262a40a629af1cbb9f516ce0fa7d2ff630863a00e8b9f
                """),
        SignatureVector(
            name: "RFC 4754 section 8.3", scheme: .method11,
            secret: """
                0065fda3409451dcab0a0ead45495112a3d813c17bfd34bdf8c1209d7df5849120597779060a7ff9d704adf78b570ffad6f0
                62e95c7e0c5d5481c5b153b48b375fa1
                """,
            publicValue: """
                0151518f1af0f563517edd5485190df95a4bf57b5cba4cf2a9a3f6474725a35f7afe0a6ddeb8bedbcd6a197e592d40188901
                cecd650699c9b5e456aea5add19052a8006f3b142ea1bfff7e2837ad44c9e4ff6d2d34c73184bbad90026dd5e6e85317d9df
                45cad7803c6c20035b2f3ff63aff4e1ba64d1c077577da3f4286c58f0aeae643
                """,
            message: "616263",
            signature: """
                0154fd3836af92d0dca57dd5341d3053988534fde8318fc6aaaab68e2e6f4339b19f2f281a7e0b22c269d93cf8794a927888
                0ed7dbb8d9362caeacee544320552251017705a7030290d1ceb605a9a1bb03ff9cdd521e87a696ec926c8c10c8362df49753
                67101f67d1cf9bccbf2f3d239534fa509e70aac851ae01aac68d62f866472660
                """),
    ]

    /// RFC 8032 section 7.1: the first three.
    static let ed25519: [SignatureVector] = [
        SignatureVector(
            name: "RFC 8032 section 7.1 test 1", scheme: .ed25519,
            secret: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicValue: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            message: "",
            signature: """
                e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25b
                f5f0595bbe24655141438e7a100b
                """),
        SignatureVector(
            name: "RFC 8032 section 7.1 test 2", scheme: .ed25519,
            secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicValue: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            message: "72",
            signature: """
                92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b
                2eaeb4302aeeb00d291612bb0c00
                """),
        SignatureVector(
            name: "RFC 8032 section 7.1 test 3", scheme: .ed25519,
            secret: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicValue: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            message: "af82",
            signature: """
                6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c
                15e9716ed28dc027beceea1ec40a
                """),
    ]

    /// The SubjectPublicKeyInfo, put together octet by octet.
    var subjectPublicKeyInfo: [UInt8] {
        let value = octets(publicValue)
        switch scheme.family {
        case .ecdsaConcatenated(.p256): return octets("3059301306072a8648ce3d020106082a8648ce3d030107034200 04") + value
        case .ecdsaConcatenated(.p384): return octets("3076301006072a8648ce3d020106052b81040022036200 04") + value
        case .ecdsaConcatenated(.p521): return octets("30819b301006072a8648ce3d020106052b8104002303818600 04") + value
        default: return octets("302a300506032b6570032100") + value
        }
    }

    /// PKCS #8, put together octet by octet.
    var privateKeyFile: [UInt8] {
        let value = octets(secret)
        switch scheme.family {
        case .ecdsaConcatenated(.p256):
            return octets("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420") + value
        case .ecdsaConcatenated(.p384): return octets("304e020100301006072a8648ce3d020106052b81040022043730350201010430") + value
        case .ecdsaConcatenated(.p521): return octets("3060020100301006072a8648ce3d020106052b81040023044930470201010442") + value
        default: return octets("302e020100300506032b657004220420") + value
        }
    }
}

/// The AlgorithmIdentifiers as RFC 7427 appendix A and RFC 8420 print them, and as others write the same.
let algorithmIdentifiers: [(scheme: SignatureScheme, identifier: String)] = [
    (.rsaSHA256, "300d06092a864886f70d01010b0500"), (.rsaSHA384, "300d06092a864886f70d01010c0500"),
    (.rsaSHA512, "300d06092a864886f70d01010d0500"), (.ecdsaSHA256, "300a06082a8648ce3d040302"),
    (.ecdsaSHA384, "300a06082a8648ce3d040303"), (.ecdsaSHA512, "300a06082a8648ce3d040304"), (.ed25519, "300506032b6570"),
    (
        .pssSHA256,  // appendix A.4.3
        """
        304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402
        010500a203020120a303020101
        """
    ),
    (
        .pssSHA256,  // DER: the trailer field is a default
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    ),
    (
        .pssSHA256,  // as OpenSSL writes it: no parameters of the hash
        "303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d010108300b0609608648016503040201a203020120"
    ),
    (
        .pssSHA384,
        "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130"
    ),
    (
        .pssSHA512,
        "304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f70d010108300d06096086480165030402030500a203020140"
    ),
]

/// AlgorithmIdentifiers that are refused, and why.
let refusedAlgorithmIdentifiers: [(why: String, identifier: String)] = [
    ("sha1WithRSAEncryption", "300d06092a864886f70d0101050500"), ("ecdsa-with-SHA1", "300906072a8648ce3d0401"),
    ("ecdsa-with-SHA224", "300a06082a8648ce3d040301"), ("dsa-with-SHA256", "300b0609608648016503040302"),
    ("sha224WithRSAEncryption", "300d06092a864886f70d01010e0500"), ("md5WithRSAEncryption", "300d06092a864886f70d0101040500"),
    ("RSA-PSS without parameters", "300b06092a864886f70d01010a"), ("RSA-PSS with NULL", "300d06092a864886f70d01010a0500"),
    ("RSA-PSS with default parameters: SHA-1, salt 20", "300d06092a864886f70d01010a3000"),
    (
        "RSA-PSS, mask with SHA-1 by default",
        "302306092a864886f70d01010a3016a00f300d06096086480165030402010500a203020120"
    ),
    (
        "RSA-PSS, mask with another hash",
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120"
    ),
    (
        "RSA-PSS, no salt length: 20",
        "303c06092a864886f70d01010a302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500"
    ),
    (
        "RSA-PSS, salt 0",
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020100"
    ),
    (
        "RSA-PSS, salt beyond any key",
        "304406092a864886f70d01010a3037a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a20602047fffffff"
    ),
    ("a NULL that is not empty", "300e06092a864886f70d01010b050100"), ("ECDSA with NULL", "300c06082a8648ce3d0403020500"),
    ("Ed25519 with NULL", "300706032b65700500"), ("Ed448", "300506032b6571"), ("a length in two octets", "30810d06092a864886f70d01010b0500"),
    ("rsaEncryption", "300d06092a864886f70d0101010500"), ("nothing", ""), ("an empty SEQUENCE", "3000"),
]
