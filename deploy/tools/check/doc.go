// Package check holds what lies in deploy against the types of those who run it. It needs large libraries, which is why
// it is in this module and not a part of `make test` but of `make check-deploy`; and neither a network nor kubeconform or
// docker, which is why it can always run.
package check
