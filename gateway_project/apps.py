from django.contrib.admin.apps import AdminConfig


class GatewayAdminConfig(AdminConfig):
    """Django's admin, with a site of ours."""

    default_site = "accounts.admin_site.GatewayAdminSite"
