import Wire

/// AES-CBC, RFC 3602 section 4: key, IV, plain text, ciphertext.
let rfc3602Vectors: [(key: String, iv: String, plain: String, cipher: String)] = [
    (
        "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
        "53696e676c6520626c6f636b206d7367",
        "e353779c1079aeb82708942dbe77181a"
    ),
    (
        "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"
    ),
    (
        "6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
        "5468697320697320612034382d62797465206d657373616765202865786163746c7920332041455320626c6f636b7329",
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684"
    ),
    (
        "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
        """
        a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1
        d2d3d4d5d6d7d8d9dadbdcdddedf
        """,
        """
        c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce
        9f9a102ee99d49a53e87f4c3da55
        """
    ),
]

/// AES-GCM, test cases of the mode's specification (McGrew and Viega) with a nonce of 96 bits: key, nonce, associated data, plain text, ciphertext | tag.
let gcmVectors: [(key: String, nonce: String, aad: String, plain: String, sealed: String)] = [
    (
        "00000000000000000000000000000000", "000000000000000000000000",
        "",
        "",
        "58e2fccefa7e3061367f1d57a4e7455a"
    ),
    (
        "00000000000000000000000000000000", "000000000000000000000000",
        "",
        "00000000000000000000000000000000",
        "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"
    ),
    (
        "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
        "",
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a
        edf5aa0de657ba637b391aafd255
        """,
        """
        42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba3
        0b396a0aac973d58e091473f59854d5c2af327cd64a62cf35abd2ba6fab4
        """
    ),
    (
        "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a
        edf5aa0de657ba637b39
        """,
        """
        42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba3
        0b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47
        """
    ),
    (
        "000000000000000000000000000000000000000000000000", "000000000000000000000000",
        "",
        "",
        "cd33b28ac773f74ba00ed1f312572435"
    ),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731c", "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a
        edf5aa0de657ba637b39
        """,
        """
        3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2
        448b2fe324d9ccda27102519498e80f1478f37ba55bd6d27618c
        """
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b"
    ),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
        "",
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a
        edf5aa0de657ba637b391aafd255
        """,
        """
        522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f6
        1e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c
        """
    ),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a
        edf5aa0de657ba637b39
        """,
        """
        522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f6
        1e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b
        """
    ),
]

/// ChaCha20-Poly1305, RFC 7634 appendices A (ESP, padding included) and B (IKE): key | salt, IV, associated data, plain text, ciphertext | tag.
let rfc7634Vectors: [(key: String, iv: String, aad: String, plain: String, sealed: String)] = [
    (
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3", "1011121314151617",
        "0102030400000005",
        """
        45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f101112131415
        161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204
        """,
        """
        24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa7
        1e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b3699
        07e1ad43
        """
    ),
    (
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3", "1011121314151617",
        "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029",
        "0000000c000040010000000a00",
        "610394701f8d017f7c129248896b71bfe25236efd7cdc67066906315b2"
    ),
]

/// NIST SP 800-20's multi-block test of triple DES (the first), and FIPS 81's example of CBC: key, IV, plain text, ciphertext.
let desVectors: [(number: EncryptionAlgorithm, key: String, iv: String, plain: String, cipher: String)] = [
    (
        .tripleDES, "627f460e08104a1043cd265d5840eaf1313edf97df2a8a8c", "8e29f75ea77e5475", "326a494cd33fe756", "b22b8d66de970692"
    ),
    (
        .des, "0123456789abcdef", "1234567890abcdef", "4e6f77206973207468652074696d6520666f7220616c6c20",
        "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6"
    ),
]
