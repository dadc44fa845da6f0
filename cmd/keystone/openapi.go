package main

import (
	"github.com/spf13/cobra"

	"github.com/keystone-auth/keystone/httpapi"
)

func openapiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the HTTP API",
		Long: `Prints the OpenAPI 3.1 document that every node serves at /openapi.json, for generators of clients
and for linters. It needs no node.`,
		Example: "  keystone openapi > openapi.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(httpapi.OpenAPI(programVersion()))
			return err
		},
	}
}
