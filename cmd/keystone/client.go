package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/client"
	"github.com/keystone-auth/keystone/iam"
)

func clientCommand() *cobra.Command {
	return group("client", "Manage the programs that obtain or introspect tokens",
		clientListCommand(), clientShowCommand(), clientCreateCommand(), clientUpdateCommand(), clientRotateCommand(), clientLockDownCommand(),
		removal("CLIENT_ID", "Remove a client; its tokens are dead", "  keystone client delete billing", (*client.Client).DeleteClient))
}

func clientLockDownCommand() *cobra.Command {
	return named("lock-down", "CLIENT_ID", "Take everything from a client at once: its access, its tokens, the sessions through it", "  keystone client lock-down billing", func(ctx context.Context, cmd *cobra.Command, c *client.Client, id string) error {
		done, err := c.LockDownClient(ctx, id)
		if err != nil {
			return fmt.Errorf("the client was not locked down: %w", err)
		}
		return present(cmd, done, table.Row{"", id}, []table.Row{{"state", "disabled"}, {"sessions ended", done.SessionsTerminated}})
	})
}

func clientListCommand() *cobra.Command {
	cmd := listing("List clients, the newest first", `  keystone client list --search bill
  keystone client list --active true --sort name,asc --json`, "client_id, name or created_at", listClients)
	cmd.Flags().String("active", "", "only those that are active (true) or disabled (false)")
	cmd.Flags().String("type", "", "only those that are confidential or public")
	return cmd
}

func listClients(ctx context.Context, cmd *cobra.Command, c *client.Client, q client.ListQuery) error {
	for flag, filter := range map[string]string{"active": "is_active", "type": "client_type"} {
		if value, _ := cmd.Flags().GetString(flag); value != "" {
			q.Filters[filter] = value
		}
	}
	var all api.Clients
	if err := walk(q, func(q client.ListQuery) (*string, error) {
		page, err := c.Clients(ctx, q)
		all.Clients, all.Page = append(all.Clients, page.Clients...), page.Page
		return page.NextCursor, err
	}); err != nil {
		return err
	}
	rows := make([]table.Row, 0, len(all.Clients))
	for _, c := range all.Clients {
		rows = append(rows, table.Row{c.ClientID, c.Name, c.ClientType, clientState(c), strings.Join(c.Scopes, " "), moment(c.LastUsed), c.TotalRequests})
	}
	return present(cmd, all, table.Row{"client_id", "name", "type", "state", "scopes", "last used", "requests"}, rows)
}

func clientState(c api.Client) string {
	state := "active"
	if !c.IsActive {
		state = "disabled"
	}
	if c.IsTrusted {
		state += ", trusted"
	}
	return state
}

// moment is a time in a table; what never happened is a hyphen.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05")
}

func clientShowCommand() *cobra.Command {
	return named("show", "CLIENT_ID", "Show a client", "  keystone client show billing", func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		found, err := c.ClientByID(ctx, name)
		if err != nil {
			return err
		}
		return showClient(cmd, found)
	})
}

// showClient prints a client, and its secret where the answer is the one that holds it.
func showClient(cmd *cobra.Command, c api.Client) error {
	rows := []table.Row{{"client_id", c.ClientID}}
	if c.ClientSecret != "" {
		rows = append(rows, table.Row{"secret", c.ClientSecret})
		fmt.Fprintln(cmd.ErrOrStderr(), "The secret is shown this once.")
	}
	return describe(cmd, c, append(rows,
		table.Row{"name", c.Name}, table.Row{"description", c.Description}, table.Row{"type", c.ClientType}, table.Row{"state", clientState(c)},
		table.Row{"scopes", strings.Join(c.Scopes, " ")}, table.Row{"audiences", strings.Join(c.Audiences, " ")},
		table.Row{"access token lifetime", c.AccessTokenLifetime}, table.Row{"refresh token lifetime", c.RefreshTokenLifetime},
		table.Row{"rate limit", fmt.Sprintf("%d/minute, %d/hour", c.RateLimitPerMinute, c.RateLimitPerHour)}, table.Row{"allowed addresses", strings.Join(c.AllowedIPs, " ")},
		table.Row{"contact", c.ContactEmail}, table.Row{"website", c.WebsiteURL}, table.Row{"webhook", c.WebhookURL},
		table.Row{"last used", moment(c.LastUsed)}, table.Row{"requests", c.TotalRequests}, table.Row{"made", c.CreatedAt}, table.Row{"changed", c.UpdatedAt})...)
}

// clientFlags gives a command the flags that say what a client is to be.
func clientFlags(f *pflag.FlagSet) {
	f.String("name", "", "name for people")
	f.String("description", "", "what the client is")
	f.StringSlice("scope", nil, "scope that it holds, perhaps several times")
	f.StringSlice("audience", nil, "audience that its tokens may have, perhaps several times")
	f.StringSlice("allowed-ip", nil, "range of addresses from which it may come, such as 10.0.0.0/8, perhaps several times")
	f.Bool("active", true, "whether it may be used")
	f.Bool("trusted", false, "whether it may ask what others may do")
	f.String("access-token-lifetime", "", "seconds that its access tokens live, 60 to 86400")
	f.String("refresh-token-lifetime", "", "seconds that its refresh tokens live")
	f.String("rate-per-minute", "", "requests that it may make in a minute; 0 = no limit of its own")
	f.String("rate-per-hour", "", "requests that it may make in an hour; 0 = no limit of its own")
	f.String("contact-email", "", "whom to write to about it")
	f.String("website-url", "", "its page")
	f.String("webhook-url", "", "where it takes messages")
}

// clientChange is what the flags that were given say.
func clientChange(f *pflag.FlagSet) (r api.PatchClientRequest, err error) {
	texts := map[string]*api.Patch[string]{
		"name": &r.Name, "description": &r.Description, "contact-email": &r.ContactEmail, "website-url": &r.WebsiteURL, "webhook-url": &r.WebhookURL,
	}
	lists := map[string]*api.Patch[[]string]{"scope": &r.Scopes, "audience": &r.Audiences, "allowed-ip": &r.AllowedIPs}
	numbers := map[string]*api.Patch[int64]{
		"access-token-lifetime": &r.AccessTokenLifetime, "refresh-token-lifetime": &r.RefreshTokenLifetime,
		"rate-per-minute": &r.RateLimitPerMinute, "rate-per-hour": &r.RateLimitPerHour,
	}
	f.Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		if text := texts[flag.Name]; text != nil {
			*text = api.To(value)
		}
		if list := lists[flag.Name]; list != nil {
			all, _ := f.GetStringSlice(flag.Name)
			*list = api.To(all)
		}
		if number := numbers[flag.Name]; number != nil {
			n, wrong := wholeNumber(flag.Name, value, 0, 1<<31-1)
			*number, err = api.To(int64(n)), errors.Join(err, wrong)
		}
		switch flag.Name {
		case "active":
			active := value == "true"
			r.IsActive = api.To(&active)
		case "trusted":
			r.IsTrusted = api.To(value == "true")
		}
	})
	return r, err
}

func clientCreateCommand() *cobra.Command {
	kind := ""
	cmd := named("create", "CLIENT_ID", "Make a client", `  keystone client create billing --name Billing --scope read:orders --audience https://orders.example.org
  keystone client create page --name "Our page" --type public`, func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		p, err := clientChange(cmd.Flags())
		if err != nil {
			return err
		}
		made, err := c.CreateClient(ctx, api.CreateClientRequest{
			ClientID: name, Name: p.Name.Value, Description: p.Description.Value, ClientType: kind, IsActive: p.IsActive.Value, IsTrusted: p.IsTrusted.Value,
			Scopes: p.Scopes.Value, Audiences: p.Audiences.Value, AccessTokenLifetime: p.AccessTokenLifetime.Value, RefreshTokenLifetime: p.RefreshTokenLifetime.Value,
			RateLimitPerMinute: p.RateLimitPerMinute.Value, RateLimitPerHour: p.RateLimitPerHour.Value, AllowedIPs: p.AllowedIPs.Value,
			ContactEmail: p.ContactEmail.Value, WebsiteURL: p.WebsiteURL.Value, WebhookURL: p.WebhookURL.Value,
		})
		if err != nil {
			return fmt.Errorf("the client was not made: %w", err)
		}
		return showClient(cmd, made)
	})
	clientFlags(cmd.Flags())
	cmd.Flags().StringVar(&kind, "type", string(iam.Confidential), "confidential, with a secret, or public, without one")
	return cmd
}

func clientUpdateCommand() *cobra.Command {
	cmd := named("update", "CLIENT_ID", "Change what the flags say of a client", `  keystone client update billing --scope read:orders --scope write:orders
  keystone client update billing --active=false
  keystone client update billing --allowed-ip ""`, func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		change, err := clientChange(cmd.Flags())
		if err != nil {
			return err
		}
		changed, err := c.PatchClient(ctx, name, change)
		if err != nil {
			return err
		}
		return showClient(cmd, changed)
	})
	cmd.Long = "Changes what the flags say of a client. A list takes the place of the one before; an empty text clears."
	clientFlags(cmd.Flags())
	return cmd
}

func clientRotateCommand() *cobra.Command {
	grace := ""
	cmd := named("rotate-secret", "CLIENT_ID", "Give a client a new secret", `  keystone client rotate-secret billing --grace 24h
  keystone client rotate-secret billing        # the old one was stolen: it is dead at once`, func(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
		length, err := time.ParseDuration(grace)
		if err != nil || length < 0 || length > iam.MaxGrace*time.Second {
			return errors.New("--grace must be a length of time of at most 720h, such as 30m or 24h")
		}
		made, err := c.RotateSecret(ctx, name, api.RotateSecretRequest{GraceSeconds: int64(length / time.Second)})
		if err != nil {
			return err
		}
		return showClient(cmd, made)
	})
	cmd.Flags().StringVar(&grace, "grace", "0s", "how long the old secret is good still")
	return cmd
}
