package iam

// ACMEItem is something that belongs to the certificates which a node obtains for all: an account, a private key, a
// certificate, the answer to a challenge.
type ACMEItem struct {
	Key        string `cbor:"1,keyasint"` // a path such as certificates/ca/name/name.key
	Sealed     []byte `cbor:"2,keyasint"` // under the cluster secret, for this key alone
	ModifiedAt Time   `cbor:"3,keyasint"`
}

// Lock lets one node alone do something that is dear, such as obtaining a certificate. A node that dies with it
// loses it when its time is over.
type Lock struct {
	Name      string `cbor:"1,keyasint"`
	Holder    ID     `cbor:"2,keyasint"` // made up by who took it
	ExpiresAt Time   `cbor:"3,keyasint"`
}
