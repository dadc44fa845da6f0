package secret

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/keystone-auth/keystone/iam"
)

// vector is a hash that another program made.
type vector struct{ form, hash string }

// What Passlib 1.7.4, Django 5.2, glibc's crypt(3), and the Java and C libraries that Keycloak uses made of two
// passwords, with costs that a test can afford.
const (
	plainPassword  = "Zx9!kestrel-Moor"
	accentPassword = "Pässwörd1!"
)

var ofPlain = []vector{
	{"argon2id", "$argon2id$v=19$m=512,t=2,p=2$45wzxvj/P4dQqjWG8B6jFA$SVDusISgDb0fZ8oU51aZ+aD6Ffafild0mcwSJnyfOd0"},
	{"argon2i", "$argon2i$v=19$m=512,t=2,p=4$rvUeQ2itNYZwTokRImQsBQ$zy2LkGbNQ6X7E4siJL+KFiYC344uf1T9zlMFUaWpbCo"},
	{"bcrypt", "$2a$04$jAnhAxFDUDAO.ce/AYzxe.ILP8PTKx/Hk7NHvapcLEsEnJyT3XTN2"},
	{"bcrypt", "$2b$04$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."},
	{"bcrypt", "$2y$04$4ZAfqvAzYQVwW8khsc9SMe./xdAJn.kiPl9Qj2f5kNHHSVi3R/7Zu"},
	{"Passlib bcrypt-sha256", "$bcrypt-sha256$v=2,t=2b,r=4$I.buHQTo9qondNl2qGrx9u$DSMuTwGnaZjhzhSjWW.OLY12ZOCWvCq"},
	{"Passlib bcrypt-sha256", "$bcrypt-sha256$2b,4$TrhcLosgGHxo/FhVkWi.Be$IiCgBAXj7AbtFlwvh2mVqxckOLHvgme"},
	{"Passlib scrypt", "$scrypt$ln=10,r=8,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Passlib scrypt", "$scrypt$ln=6,r=16,p=2$R+jdGwPgvDcG4PxfCwEgBA$5F1uisd4EoX+T3kU3muhA3sE+t1VAIQ8GyL6zVvpawk"},
	{"Passlib pbkdf2-sha256", "$pbkdf2-sha256$1000$xth7jzEGwNj7PweglLL23g$hL1PpwGCM0APt56A/DatmySMg8Sbz8h/mgT3pQWuT6E"},
	{"Passlib pbkdf2-sha512", "$pbkdf2-sha512$1000$F6K0ltJaSwmBsNY6xzgHQA$cmK5QUUUBW6HzGMXh2hl1/co0lqnYlU9uoc/8k.sN7kt1FiuEDyWtuvUwimfRnH/Kp8phuFKChAHWUmYxf1m0w"},
	{"Passlib pbkdf2-sha1", "$pbkdf2$1000$ufd.TykFoNRai3EOYayV0g$nyqCpZavbPFfFtfCNLaOdlLUTh8"},
	{"sha512-crypt", "$6$rounds=1234$QwRJVAvhbxc9tE5o$28N8Led4kx0uYq6PKQ8y3cp2UU8wSiprFevdFrPSnASiu5iGOQY88YAkNxe6uK5p6RjbEIgpcmbagtaLxe9.B1"},
	{"sha512-crypt", "$6$AluSQXKCpkjHDrn2$8C96PUL9I5J68CLf1lUtr5Hu/Cjjl6gpK3bb4P6C9jA3OE4aunxnMBbKw/WcnItiMi.UR4uUDu.UnwDtXMygB/"},
	{"sha256-crypt", "$5$rounds=1234$hOYtK6g6lLZpQIPx$1LnIhW/zveVbAgV7EMcf6dA1LCgnEbI.uMpi0AMeK25"},
	{"Django pbkdf2_sha256", "pbkdf2_sha256$1000$bHX2yWU4Q6k7kprFkS5YHT$dw+5+fCqmao35Gz0AG41Jt+vuGsyojYn24UxCxReNzQ="},
	{"Django pbkdf2_sha1", "pbkdf2_sha1$1000$I0i6nWXYXJx4H78EjdIywo$JT5UzL+Xagv0xO8F0IvbRdURb2E="},
	{"Django argon2id", "argon2$argon2id$v=19$m=512,t=2,p=8$U3ZudWhrSFI1RTMzb05QZUxweGpSZQ$KCyJ9ag9KzzzwHt6xELtX+FQ6AcdaNB72blvmFjL4MY"},
	{"Django bcrypt", "bcrypt$$2b$04$xWlRCvD4/J2YfaAAojTQCODf8GslcP49eSN8TFO6dPjPaUNQ3R7/2"},
	{"Django bcrypt_sha256", "bcrypt_sha256$$2b$04$zpDpG9/00b7Su3EUcbduv.IKXSVhvy7m3PZqlkm.DJdxP447rhgAO"},
	{"Django scrypt", "scrypt$1024$R3Jpl5LyjR2szmyWYuS3xm$8$5$b0l59Ju6CtNeRIz1KG1cZNbCncEu+4JKi5bmKAXwDlWfyh1qOdU6NgBZY9TQ4KyZWWoeR0I2O3JEiADSkL+Sdw=="},
	{"bcrypt", "$2y$05$abcdefghijklmnopqrstuuz7y7006pHoIReCdMtmk3Ip3KEOkJUMC"},
	{"sha512-crypt", "$6$rounds=2000$abc./xyz$w0UCh.jyuWq7FO3bBeMKSaVASPC8FbZcHEeQxqBDHou6sjceY2fwoZUAFCTryMuNujXeePeoC6/Cxau8oPgAZ/"},
	{"sha512-crypt", "$6$abcdefgh$eY/UHNXYyxXgVnXsAMtFpXLqLTr4syTDm0FdlNhwWlCjoOD18x4IzoQoxQ8N8I7pb5zAtSjgACJq5PhyYfLNW/"},
	{"Keycloak pbkdf2-sha1", `{"credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2\"}","secretData":"{\"value\":\"VIwVX8YbA9iICzRMpf2uMTyFy7QclvHNpyRDLnqJv30+XMaqR7JPAZmHNa3aFB2ruGOsDgUAvrb7pDS8QxETgw==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\"}"}`},
	{"Keycloak pbkdf2-sha256", `{"id":"4f3c","type":"password","createdDate":1700000000000,"secretData":"{\"value\":\"meCKPCY20bfbtPOXTNomQr1Tk7+7oFj0XGu6kqDoX1snXztJDS8V8ccxVEJGGP7gLFgtTgMXy8rAb2igJQirGg==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}`},
	{"Keycloak pbkdf2-sha512", `{"credentialData":{"hashIterations":1000,"algorithm":"pbkdf2-sha512","additionalParameters":{}},"secretData":{"value":"V6ynExD2D46zCTucrJzihgBnVy01+rKniCl11pueaVWKH5fWyQkUtJlHobF7ItKBNB6YN3opC+0aZzHpaN44zg==","salt":"AxQlNkdYaXqLnK2+z+DxAg=="}}`},
	{"Keycloak argon2id", `{"credentialData":"{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"512\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}","secretData":"{\"value\":\"uVplbuKqEcT7gdll6oMPJ1Dnn25qUfTMqW1uOgpMXvM=\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}"}`},
}

var ofAccents = []vector{
	{"argon2id", "$argon2id$v=19$m=512,t=2,p=2$8B4DwPjfG+Mcg1Cqtdbaew$0mxwKtuVKbRQhcdtaYfbbDs3mHM6207RlRsoKfqrf7o"},
	{"argon2i", "$argon2i$v=19$m=512,t=2,p=4$JqT0fo9RqpUyBmDs3XuPkQ$/vomF1tlzMfi03fNFqUpXSowZ5LH+gooIX/G+3A/djc"},
	{"bcrypt", "$2a$04$aav/6aW3XGfBibWvFdSduexKYXy4ksVF1Si9TuRoapnFkaGJfU6nG"},
	{"bcrypt", "$2b$04$L8ywBf.74iCVOCBPTa4xEuz4yQxAsSHeorAJvFisGqdbSQdzC9JC."},
	{"bcrypt", "$2y$04$DnMnx6zg1XjmYUt5kKWuIOQBqTPAUq2jfxYp9bq.BWTEAuE/5sZS."},
	{"Passlib bcrypt-sha256", "$bcrypt-sha256$v=2,t=2b,r=4$WJonDAZnxmJe0iRwx4ZRuu$m7x7awDrEDl7pAynzfYW82A31JvPnOW"},
	{"Passlib bcrypt-sha256", "$bcrypt-sha256$2b,4$gqOfVVlEE6aWjQRDDpZZ5u$uPhklOI.2EnPk2EucIJG6vvbwB0ySBu"},
	{"Passlib scrypt", "$scrypt$ln=10,r=8,p=1$svaesxZC6L1XCkGI8R7jfA$aKoua/4JDbnbVYql2EUgJExzacVgJ2r0yL9Rv/p7qyA"},
	{"Passlib scrypt", "$scrypt$ln=6,r=16,p=2$SklJ6V3r3TunlFKq9X4PwQ$OnYC0S70d6NR5+EoH6QTcFJuH6yo0IfsZxvSEOD/TqU"},
	{"Passlib pbkdf2-sha256", "$pbkdf2-sha256$1000$WKtVCiGEMAZAKGWs9f7fmw$bI59nUrufpbmIOHAxEI7tLZuUvaBAMW7/1yvQ1nEl4E"},
	{"Passlib pbkdf2-sha512", "$pbkdf2-sha512$1000$/X8PoXQuBUBo7d2bs7YW4g$kmSsT/KTFBTWb1rHWGVjjTmxb8sg5E3isu4pFGJscbhT40sM2zvKjO7esi/2fggKAbnZCRytt/a64osS1quhWw"},
	{"Passlib pbkdf2-sha1", "$pbkdf2$1000$mZOS8t57r9UaI8RYK2Ws1Q$lRsAzfM5vDNr1x0vu8ovo3FU/UA"},
	{"sha512-crypt", "$6$rounds=1234$eVojihbANw06hiQb$EB6qOzly0CamrIAo2XnjIeGEMgnHxkanyudc2vslkegVKOMC6HHPPSA1Cy157Ivb.7mBPoye2rvFFo9eLm7aP/"},
	{"sha512-crypt", "$6$8YeyYleZUp3sbbjq$KS469n9mFD15JaeCFDlc.zbShxf8qCBZl5AYBcTVyY0UBxZxyUaneyb7niY0uK/fSfgikOqrXr8B5YeyZ7Vgl0"},
	{"sha256-crypt", "$5$rounds=1234$w.oifK1toZIDlV9e$5zm7HFpcYec7t/rmuaBkT1TBpA0mgTKVYebg1fEn/V."},
	{"Django pbkdf2_sha256", "pbkdf2_sha256$1000$gV8Xs5b46k2wQYpv6JWEc9$aZXJUHYEV4uTlkoB5xUtIAF/MR+lITK/71PPoRG6/dA="},
	{"Django pbkdf2_sha1", "pbkdf2_sha1$1000$mr26u3miwKPHY2EwDALzYI$HdVU1+8yyC5Vl75YW/7SIHNSAc0="},
	{"Django argon2id", "argon2$argon2id$v=19$m=512,t=2,p=8$RXlubERSZjBwUGJzNEkxRld3bnFmUw$B8irc1TSpYivVCY0QrKNBFAiQJsVc+/x3VkubGPmwvk"},
	{"Django bcrypt", "bcrypt$$2b$04$yMhRGau30mD6vT78G5vFAu.Ug2rYx2jFINMce1Tw1SvM3K8OIBoai"},
	{"Django bcrypt_sha256", "bcrypt_sha256$$2b$04$xN3qdTdflzMsd66FzbTXl.RJy1GafyHFzC5tUumuxHD.Ojg.6umM6"},
	{"Django scrypt", "scrypt$1024$oaJ0cbbwBVfwq0tVuIe6vm$8$5$rR74vgZTtKo1bw07r3aMWFnbmkyNjAeeSvmJuEQMcJ/2RyVd2W4JW3pXWBjX7Jiz55j7BEYok0GrvMb7P0S5og=="},
	{"Keycloak pbkdf2-sha1", `{"credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2\"}","secretData":"{\"value\":\"OFNnaeZOzw3UxhTvARup9ru1/iMzevWrH57dWhk0hYcnBspoDud4shMhFVogRvN4LwkfGCepMD4xWYR51dQxgA==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\"}"}`},
	{"Keycloak pbkdf2-sha256", `{"id":"4f3c","type":"password","createdDate":1700000000000,"secretData":"{\"value\":\"bj0E1Pn+J1/LnvUUVNCCvV9Gh2HV4i07jW90UIi/DvjdUslVJDTBs7nRCsUdBWxKz9V7aYLTvKA+xGjP9XEDmA==\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}`},
	{"Keycloak pbkdf2-sha512", `{"credentialData":{"hashIterations":1000,"algorithm":"pbkdf2-sha512","additionalParameters":{}},"secretData":{"value":"Lk6YFLx/OjrI8YPJeaNAoWGTmUIoXjc48RhHMQscf9YrvsiYZ156oPt32wYUj12+l3QgLQIElBfwrCf/+sP79g==","salt":"AxQlNkdYaXqLnK2+z+DxAg=="}}`},
	{"Keycloak argon2id", `{"credentialData":"{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"512\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}","secretData":"{\"value\":\"kNphC8zWKM45CCSfJiCYGXpx10naLxZp+tay4YLa8yM=\",\"salt\":\"AxQlNkdYaXqLnK2+z+DxAg==\",\"additionalParameters\":{}}"}`},
}

// TestVerifyForeign: the hashes of other systems fit their password and no other, here and in a process that
// computes hashes, and are replaced at the next login.
func TestVerifyForeign(t *testing.T) {
	for name, h := range map[string]*Hasher{"here": NewHasher(HasherConfig{Params: cheap}), "in a helper": helped(t, 1)} {
		f := func(v vector, password string) {
			t.Helper()
			if form, err := Recognize(v.hash); err != nil || form != v.form {
				t.Errorf("Recognize(%s) = %q, %v, want %s", v.hash, form, err, v.form)
			}
			if ok, err := h.Verify(t.Context(), v.hash, password); err != nil || !ok {
				t.Errorf("%s: %s does not fit its password: %v", name, v.hash, err)
			}
			for _, wrong := range []string{"", password + "1", password[1:], strings.ToUpper(password)} {
				if ok, err := h.Verify(t.Context(), v.hash, wrong); err != nil || ok {
					t.Errorf("%s: %s with %q: %v, %v", name, v.hash, wrong, ok, err)
				}
			}
		}
		for _, v := range ofPlain {
			f(v, plainPassword)
		}
		for _, v := range ofAccents {
			f(v, accentPassword)
		}
	}
	h := NewHasher(HasherConfig{Params: cheap})
	for _, v := range append(ofPlain, ofAccents...) {
		if own := v.form == "argon2id"; h.Weak(v.hash) == own {
			t.Errorf("Weak(%s) = %v", v.hash, own)
		}
	}
}

// TestChangedHashFitsNothing: another letter in the salt or the sum makes of no hash one that fits.
func TestChangedHashFitsNothing(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap})
	for _, v := range ofPlain {
		if v.hash[0] == '{' {
			continue // its letters are not all significant
		}
		sum := strings.LastIndex(v.hash, "$") + 1
		for _, changed := range []string{v.hash + "A", swapped(v.hash, sum), swapped(v.hash, (sum+len(v.hash))/2)} {
			if ok, _ := h.Verify(t.Context(), changed, plainPassword); ok {
				t.Errorf("%s fits, made of %s", changed, v.hash)
			}
		}
	}
}

// swapped puts another letter at that place.
func swapped(s string, at int) string {
	other := byte('A')
	if s[at] == other {
		other = 'B'
	}
	return s[:at] + string(other) + s[at+1:]
}

// TestBcryptLooksAt72Bytes: the system that made the hash left the rest of the password away, and its owner
// must get in; but a new hash is not made of what nobody has proven.
func TestBcryptLooksAt72Bytes(t *testing.T) {
	const hash = "$2b$04$jRygm0Z40OaSR1JzgABwRuUr4U38TOVty4gLw3jk6K7EO2ulVMQOG" // of the first 72 bytes and a tail
	seen := strings.Repeat("Zx9!", 18)
	h := NewHasher(HasherConfig{Params: cheap})
	for _, password := range []string{seen + "-the tail that bcrypt never sees", seen, seen + "another tail"} {
		if ok, err := h.Verify(t.Context(), hash, password); err != nil || !ok {
			t.Errorf("Verify(%q) = %v, %v", password, ok, err)
		}
		if Whole(hash, password) != (password == seen) || Whole("bcrypt$"+hash, password) != (password == seen) {
			t.Errorf("Whole(%q) = %v", password, Whole(hash, password))
		}
	}
	if ok, err := h.Verify(t.Context(), hash, seen[:71]); err != nil || ok {
		t.Errorf("71 of the 72 bytes: %v, %v", ok, err)
	}
	long := strings.Repeat("x", 100)
	for _, v := range ofPlain {
		if v.form != "bcrypt" && v.form != "Django bcrypt" && !Whole(v.hash, long) {
			t.Errorf("%s is said to cut passwords", v.form)
		}
	}
}

// TestSHACryptBoundsPasswords: its time grows with the square of the password's length, which a stranger chooses.
func TestSHACryptBoundsPasswords(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap})
	if ok, err := h.Verify(t.Context(), ofPlain[len(ofPlain)-6].hash, strings.Repeat("x", 1<<20)); ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

// Hashes that are well formed and ask for hours, or for more memory than there is.
var absurd = []vector{
	{"argon2id", "$argon2id$v=19$m=4194304,t=1,p=1$" + someSalt + "$" + someHash},
	{"argon2i", "$argon2i$v=19$m=65536,t=4294967295,p=1$" + someSalt + "$" + someHash},
	{"argon2id", "argon2$argon2id$v=19$m=4294967295,t=1,p=1$" + someSalt + "$" + someHash},
	{"bcrypt", "$2b$17$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."},
	{"bcrypt", "$2y$31$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."},
	{"bcrypt", "$2a$99$nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."},
	{"Django bcrypt", "bcrypt$$2b$31$xWlRCvD4/J2YfaAAojTQCODf8GslcP49eSN8TFO6dPjPaUNQ3R7/2"},
	{"Django bcrypt_sha256", "bcrypt_sha256$$2b$31$zpDpG9/00b7Su3EUcbduv.IKXSVhvy7m3PZqlkm.DJdxP447rhgAO"},
	{"Passlib bcrypt-sha256", "$bcrypt-sha256$v=2,t=2b,r=31$I.buHQTo9qondNl2qGrx9u$DSMuTwGnaZjhzhSjWW.OLY12ZOCWvCq"},
	{"Passlib scrypt", "$scrypt$ln=31,r=8,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Passlib scrypt", "$scrypt$ln=4000000000000000000,r=8,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Passlib scrypt", "$scrypt$ln=10,r=4611686018427387,p=4611686018427387$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Passlib scrypt", "$scrypt$ln=1,r=8,p=65$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Passlib scrypt", "$scrypt$ln=20,r=8,p=2$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ"},
	{"Django scrypt", "scrypt$1125899906842624$R3Jpl5LyjR2szmyWYuS3xm$8$5$b0l59Ju6CtNeRIz1KG1cZNbCncEu+4JKi5bmKAXwDlWfyh1qOdU6NgBZY9TQ4KyZWWoeR0I2O3JEiADSkL+Sdw=="},
	{"Passlib pbkdf2-sha256", "$pbkdf2-sha256$4294967295$xth7jzEGwNj7PweglLL23g$hL1PpwGCM0APt56A/DatmySMg8Sbz8h/mgT3pQWuT6E"},
	{"Passlib pbkdf2-sha1", "$pbkdf2$4000000000000000000$ufd.TykFoNRai3EOYayV0g$nyqCpZavbPFfFtfCNLaOdlLUTh8"},
	{"Django pbkdf2_sha256", "pbkdf2_sha256$6000001$bHX2yWU4Q6k7kprFkS5YHT$dw+5+fCqmao35Gz0AG41Jt+vuGsyojYn24UxCxReNzQ="},
	{"sha512-crypt", "$6$rounds=999999999$QwRJVAvhbxc9tE5o$28N8Led4kx0uYq6PKQ8y3cp2UU8wSiprFevdFrPSnASiu5iGOQY88YAkNxe6uK5p6RjbEIgpcmbagtaLxe9.B1"},
	{"sha256-crypt", "$5$rounds=1000001$hOYtK6g6lLZpQIPx$1LnIhW/zveVbAgV7EMcf6dA1LCgnEbI.uMpi0AMeK25"},
	{"Keycloak pbkdf2-sha256", `{"credentialData":{"hashIterations":3000001,"algorithm":"pbkdf2-sha256"},"secretData":{"value":"meCKPCY20bfbtPOXTNomQr1Tk7+7oFj0XGu6kqDoX1snXztJDS8V8ccxVEJGGP7gLFgtTgMXy8rAb2igJQirGg==","salt":"AxQlNkdYaXqLnK2+z+DxAg=="}}`},
	{"argon2id", `{"credentialData":{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"memory":["4194304"],"type":["id"],"version":["1.3"],"parallelism":["1"]}},"secretData":{"value":"uVplbuKqEcT7gdll6oMPJ1Dnn25qUfTMqW1uOgpMXvM=","salt":"AxQlNkdYaXqLnK2+z+DxAg=="}}`},
}

// TestAbsurdCostIsNotRun: such a hash is refused by its numbers alone. Were one of them computed, this test would take
// hours or all memory; so little is allocated that nothing was made ready either.
func TestAbsurdCostIsNotRun(t *testing.T) {
	h := NewHasher(HasherConfig{Params: cheap})
	for _, v := range absurd {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		form, err := Recognize(v.hash)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrUnusableHash) || form != "" {
			t.Errorf("Recognize(%s) = %q, %v", v.hash, form, err)
		} else if text := err.Error(); !strings.Contains(text, "more work than is allowed") || !strings.Contains(text, v.form) {
			t.Errorf("%s is refused with %q", v.hash, text)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<10 {
			t.Errorf("%d bytes were allocated for %s", n, v.hash)
		}
		if ok, err := h.Verify(t.Context(), v.hash, plainPassword); ok || !errors.Is(err, ErrUnusableHash) {
			t.Errorf("Verify of %s = %v, %v", v.hash, ok, err)
		}
		if !h.Weak(v.hash) {
			t.Errorf("%s would stay", v.hash)
		}
	}
}

// TestUnknownForms: what is no hash, or one of a form that is not known, is refused and never repeated.
func TestUnknownForms(t *testing.T) {
	b53 := "nCmcHPAcxPuIF3FPXlGGkO/NHntYR.CpVbEdcrPUY8Fgbmgm7fTx."
	for _, hash := range []string{
		"", "!", "plain-text-password", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$abcdefgh$G2/.../", "$apr1$x$y", "$y$j9T$x$y", "{SSHA}x", "{}", "{", "[]", "null",
		"$2x$10$" + b53, "$2$10$" + b53, "$2b$3$" + b53, "$2b$03$" + b53, "$2b$00$" + b53, "$2b$+9$" + b53, "$2b$10$" + b53[1:], "$2b$10$" + b53 + "A", "$2b$10$!" + b53[1:],
		"bcrypt$" + b53, "bcrypt_sha256$$2x$10$" + b53, "$bcrypt-sha256$v=3,t=2b,r=4$I.buHQTo9qondNl2qGrx9u$DSMuTwGnaZjhzhSjWW.OLY12ZOCWvCq", "$bcrypt-sha256$", "$bcrypt-sha256$2b,4$x$y",
		"$scrypt$ln=0,r=8,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ", "$scrypt$ln=10,r=0,p=1$sjZmTAkhBGCs9d6bs/Y+Rw$2Ap70y8eda7i7JSUI23spklXCTFiRJvEedenzc192wQ",
		"$scrypt$r=8,ln=10,p=1$sjZm$2Ap7", "scrypt$1000$salt$8$1$b0l5", "scrypt$1024$salt$0$1$b0l59Ju6CtNeRIz1KG1cZNbCncEu+4JKi5bmKAXwDlU=", "scrypt$",
		"$pbkdf2-sha256$0$xth7jzEGwNj7PweglLL23g$hL1PpwGCM0APt56A/DatmySMg8Sbz8h/mgT3pQWuT6E", "$pbkdf2-md5$1000$x$y", "$pbkdf2", "$pbkdf2-sha256$1000$x$AAAA", "pbkdf2_md5$1$x$y", "pbkdf2_sha256$1$x", "pbkdf2_sha256$-1$x$dw+5+fCqmao35Gz0AG41Jt+vuGsyojYn24UxCxReNzQ=",
		"$6$", "$6$salt$short", "$6$rounds=999$s$" + strings.Repeat("a", 86), "$6$rounds=x$s$" + strings.Repeat("a", 86), "$6$" + strings.Repeat("s", 17) + "$" + strings.Repeat("a", 86),
		`{"credentialData":{"hashIterations":1000,"algorithm":"md5"},"secretData":{"value":"uVplbuKqEcT7gdll6oMPJw==","salt":"AxQl"}}`,
		`{"type":"otp","credentialData":{"hashIterations":1000,"algorithm":"pbkdf2"},"secretData":{"value":"uVplbuKqEcT7gdll6oMPJw==","salt":"AxQl"}}`,
		`{"credentialData":{"hashIterations":-1,"algorithm":"pbkdf2"},"secretData":{"value":"uVplbuKqEcT7gdll6oMPJw==","salt":"AxQl"}}`,
		`{"credentialData":{"hashIterations":1,"algorithm":"pbkdf2"},"secretData":{"value":"AAAA","salt":"AxQl"}}`, `{"credentialData":{"hashIterations":1,"algorithm":"argon2"},"secretData":{"value":"uVplbuKqEcT7gdll6oMPJw==","salt":"AxQl"}}`,
		strings.Repeat("$6$", iam.MaxHashLength),
	} {
		form, err := Recognize(hash)
		if form != "" || !errors.Is(err, ErrUnusableHash) {
			t.Errorf("Recognize(%q) = %q, %v", hash, form, err)
		} else if len(hash) > 20 && strings.Contains(err.Error(), hash[len(hash)-12:]) {
			t.Errorf("the refusal repeats the hash: %v", err)
		}
	}
}

// FuzzRecognize: whatever stands in a foreign row, it is recognized within the bounds or refused, at once.
func FuzzRecognize(f *testing.F) {
	for _, v := range append(append(ofPlain, ofAccents...), absurd...) {
		f.Add(v.hash)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		s, err := parseStored(hash)
		switch {
		case err != nil && (!errors.Is(err, ErrUnusableHash) || s.derive != nil || s.form != ""):
			t.Errorf("%q is refused with %v and form %q", hash, err, s.form)
		case err == nil && (s.derive == nil || s.form == "" || s.text != hash || s.memoryKiB > maxMemoryKiB || len(s.sum) < minHash || len(s.sum) > maxHash):
			t.Errorf("%q is recognized as %+v", hash, s)
		}
	})
}
