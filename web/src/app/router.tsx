import { lazy } from 'react';
import { createBrowserRouter, Navigate, type RouteObject } from 'react-router-dom';
import { pageBase } from '../api/client';
import { ProjectsPage } from '../pages/projects/ProjectsPage';
import { SignInPage } from '../pages/signin/SignInPage';
import { NotFoundPage } from '../pages/NotFoundPage';
import { RequireSession } from './RequireSession';
import { RouteError } from './RouteError';
import { Root } from './Root';

const EnvironmentLayout = lazy(() => import('../pages/environment/EnvironmentLayout'));
const ExplorePage = lazy(() => import('../explore/ExplorePage'));
const ConnectPage = lazy(() => import('../pages/connect/ConnectPage'));
const DiagnosisPage = lazy(() => import('../pages/diagnosis/DiagnosisPage'));
const DashboardsPage = lazy(() => import('../dashboards/DashboardsPage'));
const DashboardPage = lazy(() => import('../dashboards/DashboardPage'));
const TokensPage = lazy(() => import('../pages/tokens/TokensPage'));

/** Each screen fails by itself: the app bar and the way back stay. */
const screens: RouteObject[] = [
  { index: true, element: <ProjectsPage /> },
  { path: 'projects/:project/tokens', element: <TokensPage /> },
  { path: 'projects/:project/dashboards', element: <DashboardsPage />, errorElement: <RouteError /> },
  { path: 'projects/:project/dashboards/:dashboard', element: <DashboardPage />, errorElement: <RouteError /> },
  {
    path: 'projects/:project/environments/:environment',
    element: <EnvironmentLayout />,
    children: [
      { index: true, element: <Navigate to="explore" replace /> },
      { path: 'explore', element: <ExplorePage />, errorElement: <RouteError /> },
      { path: 'connect', element: <ConnectPage />, errorElement: <RouteError /> },
      { path: 'diagnosis', element: <DiagnosisPage />, errorElement: <RouteError /> },
    ],
  },
  { path: '*', element: <NotFoundPage /> },
];

export const router = createBrowserRouter(
  [
    {
      element: <Root />,
      errorElement: <RouteError />,
      children: [
        { path: 'signin', element: <SignInPage /> },
        { element: <RequireSession />, children: [{ errorElement: <RouteError />, children: screens }] },
      ],
    },
  ],
  // With its slash at the end, the start has the very address that the gateway serves, and not one that it redirects.
  { basename: pageBase.pathname },
);
