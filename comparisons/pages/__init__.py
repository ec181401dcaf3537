"""The pages in the browser, for members of a tenant who signed in: playground, history, one comparison."""
