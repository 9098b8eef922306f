import Testing
import Wire

/// Both sides of a key exchange: RFC 5903 section 8, RFC 7748 section 6.1, and MODP groups of RFC 3526.
struct KeyExchangeVector: Sendable, CustomTestStringConvertible {
    let name: String
    let method: KeyExchangeMethod
    let initiatorPrivate: String
    let initiatorPublic: String
    let responderPrivate: String
    let responderPublic: String
    let shared: String

    var testDescription: String { name }

    static let all: [KeyExchangeVector] = [
        KeyExchangeVector(
            name: "RFC 5903 section 8.1", method: .ecp256,
            initiatorPrivate: "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            initiatorPublic: """
                dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f4
                5b33accf5f58389e0577b8990bb3
                """,
            responderPrivate: "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            responderPublic: """
                d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23
                f046ada30f8353e74f33039872ab
                """,
            shared: "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"),
        KeyExchangeVector(
            name: "RFC 5903 section 8.2", method: .ecp384,
            initiatorPrivate: "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
            initiatorPublic: """
                667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa9482
                ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c
                """,
            responderPrivate: "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
            responderPublic: """
                e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfb
                ec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c
                """,
            shared: "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"),
        KeyExchangeVector(
            name: "RFC 5903 section 8.3", method: .ecp521,
            initiatorPrivate: """
                0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f595
                7b2639bab072462f68c27a57382d4a52
                """,
            initiatorPublic: """
                0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d1075649418
                85942af5a7f4601723c4195d176ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a7
                88015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582
                """,
            responderPrivate: """
                0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869
                cca7458aa4a4effc311f5cb151685eb9
                """,
            responderPublic: """
                00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c291
                2d4ef2d0433ced2b6171640012d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b
                6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a
                """,
            shared: """
                01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c7
                15a3a8cc3151f2bee417996d19f3ddea
                """),
        KeyExchangeVector(
            name: "RFC 7748 section 6.1", method: .x25519,
            initiatorPrivate: "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            initiatorPublic: "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            responderPrivate: "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            responderPublic: "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            shared: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
        KeyExchangeVector(
            name: "RFC 3526 2048-bit group, values by Python's pow", method: .modp2048,
            initiatorPrivate: "80070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11",
            initiatorPublic: """
                02fff0d8f6fcfc0a08b727a16795a8d2fad98301de3e701a38b1f8ba4652848d4bfd2a75e1604593cb5f1411869757eabba4
                cfd4616de38585dabe4eb4cc1919379d9edee134d280caba86fe9fffd492681b56b58503853570565dd2c727bf32ade2525f
                e39de394c740991b31e934043889997c3386f422ba4c00a5918c288cc80246314bc08ca984a743207ef829039025940ec466
                ff2148902c9ff3ee4264ff28432814d6b231bbd64b18ca5e8a5804dff68b931345f6f4e84e02be54ad7828619ea87f58d76e
                e8868fd4650151c935d46f8be94b8f25e9428f7a1e6db29c8f5372e4e4c95d4c9941bb5fb1badba9611be3aadd95a0247ef9
                f370643cc19c
                """,
            responderPrivate: "c10e19242f3a45505b66717c87929da8b3bec9d4dfeaf5000b16212c37424d58636e79848f9aa5b0",
            responderPublic: """
                75066a1b90b3f1434adb10fd94e58c29a621ceaf0160c895afdacd5f8f5386144712f5499d386262faba487eff4dff461d9a
                706efc670f0e5f6b456345644a52407720d4b69b982279e86b50416f73d88ce11742b03a5961ef2a2315a37ac6fcd2e01e74
                5926b514c264b9cec826534c2d35ffee335b922356abf0d9cd8964caf18e788f7b30b09b3adad3571827decde4e85af3523b
                a7ae256b509415a9cdf05de2d95cba03d86c0a50370793ea4775bab9ba85185900cfa2d2229920b84cc6b345ed643d1a1d30
                2d03c3fd44b02d8f52cd01db5c4f97f50808f8b3d1f58c886a7edae1f878cf8f17dddfe32e71c0b13d8c2920811a13779854
                b68cc2707b20
                """,
            shared: """
                360d2fcf5624129647efe3bc81abd7f12c1937f77f63873f7ac6c0b7a89a128a0659f9c7295ac9648287228c4c321ca9b271
                4756a7699b36ca8581ba2214efcccf9aa10daffb118f8a7b737d03291ce7df552438f103e1d45d78709407e42110a63b776a
                f654a7f263969a8104e8ecd1ec7cc7c5c4bc76ad0bb5d05400cd3ba648729afb99b79a8388aace22f14e0fbc3f7d660b0e16
                21f9841b8937f5317c497237c949447503d99fdc6e8fcf7cacbf4ad49efe5f87b09d7675ea7fbf68914e9c76fe1dbcb9c6fd
                3ee0970e32997911c7d9fe3d80abec5398aab90630e3337af851ae4f76a24fab9ebed65eca1f03cced92b46e17f52009b521
                8bd647a2e1b3
                """),
        KeyExchangeVector(
            name: "RFC 3526 3072-bit group, values by Python's pow", method: .modp3072,
            initiatorPrivate: """
                80070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b42495057
                5e656c
                """,
            initiatorPublic: """
                da1a804d664291511b839e7a10768b08432edc3c7fba601a28eaa0a60449ea18850ccdcf59c4080f1fdf0cfa21186a8d3f80
                0e17fcd45ac1dc70fd9b026683ca4cb2cfcf4a9737a7847669a8515cd404df44a5c83c86c2e02e6724875d1ac61612f21150
                bc943f657a0bdb3e5d1d20bb6fda77b6c86a433d309bb74299fa6e3875dbd24fcb86c4e72e720087ba38652ea4e047b4d972
                8534c3f6b532ff8347a9c0c3b7f04a769d2ea232fe965c79e440f67ba921c6bce9e76bbe5725567c121f4f381e3b8782c8f3
                bd8950182cde2b002009a1e7778f9a2e9c8c40ad2e538b17f0eb38b7f6c2018a2e051815a1ffac367c34e1d4d313c9de746b
                66c66645dbafde02262e281834ed2c23939516bb7c23f6acabd637c303d5c55843b78cc8c0b36e2b50bcdcc21bbfd04025c3
                791e44edef40c72d1726a684d2ef0a16f75aeb2701c77933c49ec91287ae0a8c242a0f3df9c87e7fa9c026ef91af8859a0f4
                cbb391c6b2692cfcd3af05a7741e2ca71061fae97e7af77183be570f8a40069f2b4b
                """,
            responderPrivate: """
                c10e19242f3a45505b66717c87929da8b3bec9d4dfeaf5000b16212c37424d58636e79848f9aa5b0bbc6d1dce7f2fd08131e
                29343f
                """,
            responderPublic: """
                877954955b01105953135e9f2d7d61d126d09902cfb95c75a8ae737120f4e731dca66967d997cfed467fb3a75cbfa75166bc
                6bb872a991df84a3a5b5ab71c8573aec87fddf4d8346ebb44b10d2fe0bc35c640649c0459b2fc909decff96eabed66ac3b49
                70964898512a56ed04ad80526f09914de8b14f92c484ad5263761fe429ab0eeae71e48b399faf7f97c6ec309b52b5bc03803
                50f8b899a8c2af3a23f434f2a2fcdf71ffe43bded50acad928cc50a15ee2da8299a4ec21d0962fab3b6123536cc786a905bf
                75df856f4664edd03ed682fdadac42506a286ea8f6af3e4182abaccff23a9cb1a49eb3f9aa230bbf0fdce2c8c8eff6ed2e6e
                8d2c18dccdc354b294b63509d4b04bba806463796c323ab263aca86118ef495a87821f977c486567e91f393a9e7559735346
                ccc45e8fe7d90cb5989d3a72c70df5f7b84253bb3b0dc065ed02e1e2f0fc3807635272bed07cbe43829797503f3b01aa1af4
                50eba0c90bec0ad6f81f579b76cda4ca621d25c84369d4aec8b7ebff0b570a23fd28
                """,
            shared: """
                a7735bde70ce046027288f442296cadf7dd2e911d499c096e085b6f9de65baa04fdae634365b324cf8d79d9a8a796a5c766e
                2213f45f88ea721887d8863f56b536cfeff15ad2cbccaea438b97d1c04c12a92e95ec10ea8cb22a94e3c944efdd887021f23
                0cf2ec4b500e47ae993ca7ae6a57db7806405a916d35d732f44c88dfb393877d82f5d20d659013c50ab2aa7549475406446b
                78561dbad081d13357b95d19178b36b2fd04707384c75a117b007eff28e5df303cac82df40a247bf0922d3d422af60adec01
                68af2396eb2270aa5e18c251b3571971a451985dd7cbcb3f83132a0f559519b273a70cff0eb232ea5d3884ddfd21381525c0
                7bda91d82c197520a5dc32d50765d77133b2eaeed3325100439056879545ec4e12ccb238fb11b775a3067dedc419a2e72eb3
                21c02c47e44c2921e25cefb2cd51d92d123c3f5d111f1629ced565aae34adf069445ea475d336308a4a1211cd1d01c4db59b
                d4f22385df8c44283ed6dbf6386a028adb0a6093450b9bbdb94c49373d3fa047baf8
                """),
        KeyExchangeVector(
            name: "RFC 3526 4096-bit group, values by Python's pow", method: .modp4096,
            initiatorPrivate: """
                80070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b42495057
                5e656c737a81888f969d
                """,
            initiatorPublic: """
                53d14ebeac62f34020cf77e768ea4f76dd20cdcedafa45b12c110edc335460761ba5e2758140089c65c4eea8886e90ee152f
                2affc34caeb1d62e1da7611ef820c55fc6233e92ebd7806af1ab75e42472928807f4c76e7d6151931df61e55bd225504b625
                97e795074bef8a654c1b348057a3f9ce551a802737b2df63878d4eb84bb552f92ec80868f93a4d8f65f8bcccf79879a2cfdc
                1d50a84ad9b055cea9ef1ba2ce8e1e07b42fdc08aa85d525d8d3ce960582dab3132774f505443c91faecb901ec83c036f38d
                3b90c901a82338a513c2ca10434dfcff15c74449ef2b8afac3842ba6aaf57d065742b681b2e02eba21cf2fedcea9f74f4525
                e0daf9a02781e65ce1ab84f25dce598506ba8f8d921e1d43d83253dd4c1c8a5a6ffe6676710275271dfe79b39258b54f09df
                79f21c1613578c3da37347e65e514aa03b286b16e54d8b610dbe5d6aa1b51e526e0a20cd45c65a2e62feb23faa4fcb50540e
                11c335a9126c2a1df178bc0e66fd77aebb5b37d35ff94ca9c3c6ebb707648f7be9306d979a96f1db3b650584ae4e68c5d52d
                a1bfa51e2c0d1323e423a59963ed1cec8b88f53e6f1c63793c9c54fd8360cde9627cdf2c53432777738cdeb6fca2968386cc
                b8e376c1e9c610be31513382349f4b706bbba5a3517db6e515eecd494d324188a2f21db71c933813228acc181cd1c9b55449
                f1a175efccf88adf13a10833
                """,
            responderPrivate: """
                c10e19242f3a45505b66717c87929da8b3bec9d4dfeaf5000b16212c37424d58636e79848f9aa5b0bbc6d1dce7f2fd08131e
                29343f4a55606b76818c
                """,
            responderPublic: """
                014a63967e4af55c8005e319e75d784f2ed7ed1cbb691859f6db3e682439ec440f609997f3ddcdaa40f83a54948e76240280
                a1022e8cd52d81bd23c525973350909acd9ae4b7dd99712de3df9b77494af7ae772ed1dac5b6dab44028bbe92529fafd82dc
                9712e1c96d4c30b127138228dc0e27d1f157a3c33de45d3a83db9667197d49a973c634dd2c12d86edd3d68f79d5a35480cd7
                3cfab3d0b8add577d0abad20c720842733c80e8a7f7ab7ca23fe36726143ca7d8bf34b8bc32546bcbae19b05eef38bcf0137
                553849db20b67a574e30b845f77d100802878d98981ee770a320c60327715da463b40dfb3f820eadfb81e2ed92031319bc2e
                3bd1a3b1f1e78454c1dba96ead143bf426832d2d10290b9f1d45f841be1db38a1432f14522255da672cfc721fcc3ce8214f5
                17cf5ddd2734e759c71d23514d39058dc9eb9862884c89b7ee460feb6db478e8b9c536480111cd3e2b53f0359b14e098458b
                029e8f7bdf64efea18931cdd4681bd27c5295753f6f7c87ace331944a2655ac9bf9349d154b8318f5c70a3d1696fbe9a2604
                91ab19fe2ea2f8b5f87fadb894270b51cb5b685db972077e815a01ba6fb4bc8cd0b9d530325f5bbab57140cbdfaef4869ef5
                402ecb054ae18aece5f8265efb22bb6998d2ae9803b6d543885c475c123ba50b519a1db7a1eb9144fea6abc2463c76d55d4e
                7925874f5ef668077417c720
                """,
            shared: """
                036e2ee6c5f3c50505a2dfea0aa405818b50f1ca486c042bbb28bedd560d784dd1ba93c333f71c9091d5b4473aa673ec6033
                7739b3a53d16b7747c683c89de4eba27c4009a0c87bfae3e655cb9b28c0e10663160ec239a84c2eae789e4b1bee50f49b7c9
                db06ab0e71c414f84ae0a318105124deee8123ea8d04227c892d5cc4a65964d4e35f9a69bd0d95be4ad6e7c9565dac62a227
                c0a4985ceaacddbd2d90a50a8bf105739b39b976f8ec7540640fe4b1211897d58970ca4bfc39895926c99c97d409a34f16ff
                9a3bf44bdc413980573d863640db44367f0356193a21b8fbaa19ea0a002962d69a9290d2c1ba1264333cafd0bcbb4d0b9a07
                cce9710ded9a8532ddbad5caeb615e5189e46fe4188160c219f2af5ad1ad2159258163162054892bfb2c20c03ef85f5d8f56
                8bd4612c300d69fe9c6e72db03211447a7c3b517f6b20556b388710af29390bafdf1505a082a2af365f19e6c2ab42c0edaa9
                361c16d1c13eac9e88d049076987f95a45120958934ec6cdfe411df0346fd34a4b52ec6016c6b4326783f7922bb591d37233
                baba37de27f845aa80f16d3d2beeb8f8c4ecd860fc6fcf3c27ae2405aef93164f1462907ac3ec4cc944869b5f130b924da1f
                b7f2be7872e95e5905e5accc8afe06b22e971c97dbe5ad508bc3a3f55a7d848aedc85bb0e8c2128ffbc7f2c179a3233685d8
                88ba1963ba6b239755eaf9b6
                """),
    ]
}

/// The primes of RFC 3526, made from its definition: 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c).
let rfc3526Primes: [(method: KeyExchangeMethod, prime: String)] = [
    (
        .modp2048,
        """
        ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95
        19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb
        5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3
        ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603
        9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffff
        ffffffffffff
        """
    ),
    (
        .modp3072,
        """
        ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95
        19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb
        5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3
        ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603
        9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33
        170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e0
        4a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad9
        46e208e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff
        """
    ),
    (
        .modp4096,
        """
        ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef95
        19b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb
        5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3
        ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e8603
        9b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aaac42dad33
        170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e0
        4a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad9
        46e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d788719a10bdba5b2699c327186af4e23c
        1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6287c59474e6bc05d99b2964fa090c3a2233b
        a186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa993b4ea988d8fddc186ffb7dc90a6c08f4df435c9
        34063199ffffffffffffffff
        """
    ),
]

/// The order of each curve of RFC 5903 section 3, and the prime of its field.
let rfc5903Curves: [(method: KeyExchangeMethod, order: String, prime: String)] = [
    (
        .ecp256,
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
    ),
    (
        .ecp384,
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff"
    ),
    (
        .ecp521,
        """
        01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d0
        3bb5c9b8899c47aebb6fb71e91386409
        """,
        """
        01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
        ffffffffffffffffffffffffffffffff
        """
    ),
]

/// RFC 7748 section 5.2: scalar, u coordinate, result.
let rfc7748Multiplications: [(scalar: String, u: String, result: String)] = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    ),
]

/// Points of low order on Curve25519, their aliases beyond the prime and with the unused top bit set: every one multiplies to zero.
let lowOrderPoints: [String] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
